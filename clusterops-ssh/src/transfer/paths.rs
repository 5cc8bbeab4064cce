//! Which names and links of a tree are safe to make on the other side.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::{Error, ErrorKind, Result};

/// Whether a name that a host gave can be one file in the folder that was listed: `.` and `..`, names with a slash and
/// names with a NUL character are not.
pub(super) fn is_file_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// Whether a symbolic link in a folder so many folders deep in a tree leads to something in the tree for sure.
///
/// Only relative targets do, whose `..` all stand at their start and are no more than the link is deep: the folders
/// that a link lies in are real ones, so these steps up stay in the tree; and what comes behind only goes down, through
/// other links at most, for which the same holds. (`down/../..` may not: `down` can be a link.)
pub(super) fn stays_inside(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    let mut parts = target
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."));
    let mut ups = 0;
    let mut goes_down = false;
    parts.all(|part| {
        if part == b".." {
            ups += 1;
            !goes_down && ups <= depth
        } else {
            goes_down = true;
            true
        }
    })
}

/// A path on the host as SFTP takes it: a server starts in the login directory, and knows no tilde.
pub(super) fn remote(path: &str) -> Result<Vec<u8>> {
    let relative = match path.strip_prefix("~/") {
        Some(rest) => rest.trim_start_matches('/'),
        None if path == "~" => ".",
        None => path,
    };
    let trimmed = relative.trim_end_matches('/');
    if path.is_empty() || path.contains('\0') {
        let message = format!("{path:?} is no path: it is empty or holds a NUL character");
        return Err(Error::new(ErrorKind::Plan, message));
    }
    Ok(match (trimmed, relative) {
        ("", "") => b".".to_vec(),
        ("", _) => b"/".to_vec(),
        _ => trimmed.as_bytes().to_vec(),
    })
}

/// A path in a folder; with an empty name, the folder itself.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder {
        _ if name.is_empty() => folder.to_vec(),
        b"" | b"." => name.to_vec(),
        _ if folder.ends_with(b"/") => [folder, name].concat(),
        _ => [folder, b"/", name].concat(),
    }
}

/// The folder that a path lies in, and its last part.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// The name that a file has until it is whole, beside its final one; other names have other ones.
pub(super) fn unfinished(name: &[u8], tag: &str) -> Vec<u8> {
    [b".", &*shortened(name), b".", tag.as_bytes(), b".part"].concat()
}

/// What [`unfinished`] made a name of: the final name, shortened, and the tag.
pub(super) fn parts_of_unfinished(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = name.strip_prefix(b".")?.strip_suffix(b".part")?;
    let dot = inner.iter().rposition(|byte| *byte == b'.')?;
    Some((&inner[..dot], &inner[dot + 1..]))
}

/// A name that leaves room for more in a name; short ones stay as they are.
pub(super) fn shortened(name: &[u8]) -> Cow<'_, [u8]> {
    /// NAME_MAX, mostly 255, counts bytes.
    const LONGEST: usize = 200;
    if name.len() <= LONGEST {
        return name.into();
    }
    let digest = HEXLOWER.encode(&Sha256::digest(name)[..8]);
    let mut end = LONGEST - digest.len();
    // No half character of UTF-8.
    while end > 0 && name[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    [&name[..end], digest.as_bytes()].concat().into()
}

/// How many bytes a name may have as a rule, and a path (NAME_MAX and PATH_MAX, limits.h of Linux).
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4095;

/// What of a path is longer than systems take, in words for people.
pub(super) fn too_long(path: &[u8]) -> Option<String> {
    let mut parts = path.split(|byte| *byte == b'/');
    if let Some(name) = parts.find(|part| part.len() > LONGEST_NAME) {
        let (shown, length) = (shown(name), name.len());
        return Some(format!(
            "its part `{shown}` has {length} bytes, and no more than {LONGEST_NAME} are taken"
        ));
    }
    (path.len() > LONGEST_PATH).then(|| {
        let length = path.len();
        format!("the path has {length} bytes, and no more than {LONGEST_PATH} are taken")
    })
}

/// For people.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn remote_paths_are_those_that_a_server_knows() {
        let remote = |path| String::from_utf8(remote(path).expect(path)).expect("UTF-8");
        for (path, expected) in [
            ("~/app", "app"),
            ("~//etc", "etc"),
            ("~", "."),
            ("~/", "."),
            ("/", "/"),
            ("/opt/app/", "/opt/app"),
            ("a~/b", "a~/b"),
        ] {
            assert_eq!(remote(path), expected, "{path}");
        }
        for wrong in ["", "a\0"] {
            super::remote(wrong).expect_err("no path");
        }
    }

    #[test]
    fn paths_are_put_together_and_taken_apart() {
        for (path, folder, name) in [("a", "", "a"), ("/a", "/", "a"), ("b/c/a", "b/c", "a")] {
            let (folder, name) = (folder.as_bytes(), name.as_bytes());
            assert_eq!(split(path.as_bytes()), (folder, name));
            assert_eq!(join(folder, name), path.as_bytes());
        }
        assert_eq!(join(b".", b"a"), b"a");
        assert_eq!(join(b"/a", b""), b"/a");
    }

    #[test]
    fn what_is_too_long_is_told() {
        let long = "x".repeat(256);
        let in_the_middle = too_long(format!("/a/{long}/b").as_bytes()).expect("it is");
        assert!(
            in_the_middle.contains(&format!("`{long}` has 256 bytes")),
            "{in_the_middle}"
        );
        assert!(in_the_middle.contains("255"), "{in_the_middle}");
        let whole = too_long("abc/".repeat(1024).as_bytes()).expect("it is");
        assert!(
            whole.contains("4096 bytes") && whole.contains("4095"),
            "{whole}"
        );
        let fits = format!("/{}", "y".repeat(255));
        assert_eq!(too_long(fits.as_bytes()), None);
    }

    #[test]
    fn links_stay_inside_or_are_not_made() {
        for (target, depth) in [
            ("a", 0),
            ("a/b", 0),
            ("./a", 0),
            ("../a", 1),
            ("..", 1),
            (".", 0),
        ] {
            assert!(stays_inside(target.as_bytes(), depth), "{target} {depth}");
        }
        for (target, depth) in [
            ("", 0),
            ("/a", 5),
            ("..", 0),
            ("../../a", 1),
            ("a/..", 1),
            ("a/../../../b", 1),
            ("./../..", 1),
            ("a\0", 0),
        ] {
            assert!(!stays_inside(target.as_bytes(), depth), "{target} {depth}");
        }
    }

    /// Names as a hostile host may give them.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let parts = prop_oneof![
            Just("..".to_owned()),
            Just(".".to_owned()),
            Just(String::new()),
            Just("a".to_owned()),
            Just("l".to_owned()),
            Just("\0".to_owned()),
        ];
        let joined =
            proptest::collection::vec(parts, 1..6).prop_map(|parts| parts.join("/").into_bytes());
        prop_oneof![joined, proptest::collection::vec(any::<u8>(), 0..8)]
    }

    proptest! {
        #[test]
        fn a_name_never_leaves_its_folder(name in hostile()) {
            if is_file_name(&name) {
                let folder = Path::new("/folder");
                let path = folder.join(OsStr::from_bytes(&name));
                prop_assert_eq!(path.parent(), Some(folder));
                prop_assert_eq!(path.file_name(), Some(OsStr::from_bytes(&name)));
            }
        }

        #[test]
        fn links_never_leave_the_tree_together(targets in proptest::collection::vec(hostile(), 1..5)) {
            let outside = tempfile::tempdir().expect("a folder");
            let tree = outside.path().join("x/tree");
            std::fs::create_dir_all(tree.join("a/a")).expect("our folder");
            let inside = tree.canonicalize().expect("there");
            let places = [("l", 0), ("a/l", 1), ("a/a/l", 2), ("m", 0)];
            for (target, (place, depth)) in targets.iter().zip(places) {
                if stays_inside(target, depth) {
                    std::os::unix::fs::symlink(OsStr::from_bytes(target), tree.join(place)).expect("our folder");
                }
            }
            for (place, _) in places {
                // What leads in a circle, or nowhere, leads nowhere else.
                if let Ok(end) = tree.join(place).canonicalize() {
                    prop_assert!(end.starts_with(&inside), "{place} leads to {end:?}: {targets:?}");
                }
            }
        }

        #[test]
        fn unfinished_names_fit_and_differ(name in ".{1,300}") {
            let one = unfinished(name.as_bytes(), "0123456789abcdef");
            prop_assert!(one.len() <= 255);
            prop_assert!(is_file_name(&one) || name.contains(['/', '\0']));
            prop_assert!(String::from_utf8(one.clone()).is_ok());
            let parts = parts_of_unfinished(&one).map(|(name, tag)| (name.to_vec(), tag.to_vec()));
            prop_assert_eq!(parts, Some((shortened(name.as_bytes()).into_owned(), b"0123456789abcdef".to_vec())));
            let other = [name.as_bytes(), b"x"].concat();
            prop_assert_ne!(&one, &unfinished(&other, "0123456789abcdef"));
            prop_assert_ne!(one, name.into_bytes());
        }
    }
}
