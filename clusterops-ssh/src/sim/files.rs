//! The file tree of a simulated host. It lives in memory; hosts made from one another share it until one of them writes.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Identifies a file or folder whatever its name is, also when it has none any more.
pub(super) type Inode = u64;

/// Files and folders by their absolute paths. There are no links, owners or checks of permission.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    names: BTreeMap<String, Inode>,
    nodes: BTreeMap<Inode, Node>,
    created: Inode,
}

/// A file or folder.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// `None`: a folder.
    pub(super) content: Option<Arc<Vec<u8>>>,
    /// The permission bits.
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: u32,
    /// Seconds since 1970.
    pub(super) accessed: u32,
    /// Whether a name leads here.
    named: bool,
    handles: u32,
}

/// Why something cannot be done with a file; the texts are strerror(3)'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileError {
    #[error("No such file or directory")]
    NotFound,
    #[error("File exists")]
    Exists,
    #[error("Not a directory")]
    NotDirectory,
    #[error("Is a directory")]
    IsDirectory,
    #[error("Directory not empty")]
    NotEmpty,
    #[error("Invalid argument")]
    Invalid,
    #[error("File too large")]
    TooLarge,
    #[error("No space left on device")]
    NoSpace,
}

/// No simulated file is larger: a write far out would otherwise allocate what lies before it.
const LARGEST_FILE: u64 = 1 << 30;

impl Tree {
    /// The tree that hosts start with, shared by all of them.
    pub(super) fn initial() -> Arc<Self> {
        static INITIAL: LazyLock<Arc<Tree>> = LazyLock::new(|| {
            let mut tree = Tree::default();
            tree.insert("/".to_owned(), None, 0o755);
            for folder in [
                "/etc",
                "/home",
                "/home/sim",
                "/opt",
                "/root",
                "/srv",
                "/usr",
                "/var",
            ] {
                tree.insert(folder.to_owned(), None, 0o755);
            }
            for folder in ["/tmp", "/var/tmp"] {
                tree.insert(folder.to_owned(), None, 0o1777);
            }
            Arc::new(tree)
        });
        INITIAL.clone()
    }

    /// All paths, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The node that a path names.
    pub(super) fn find(&self, path: &str) -> Result<Inode, FileError> {
        if let Some(inode) = self.names.get(path) {
            return Ok(*inode);
        }
        // A file on the way is another error than nothing on the way.
        let mut folder = path;
        while let Some((above, _)) = folder.rsplit_once('/') {
            folder = above;
            if let Some(node) = self
                .names
                .get(folder)
                .and_then(|inode| self.nodes.get(inode))
            {
                return Err(if node.is_folder() {
                    FileError::NotFound
                } else {
                    FileError::NotDirectory
                });
            }
        }
        Err(FileError::NotFound)
    }

    /// The node itself; an inode whose last name and handle are gone has none.
    pub(super) fn node(&self, inode: Inode) -> Result<&Node, FileError> {
        self.nodes.get(&inode).ok_or(FileError::NotFound)
    }

    pub(super) fn node_mut(&mut self, inode: Inode) -> Result<&mut Node, FileError> {
        self.nodes.get_mut(&inode).ok_or(FileError::NotFound)
    }

    pub(super) fn is_folder(&self, path: &str) -> bool {
        self.find(path)
            .and_then(|inode| self.node(inode))
            .is_ok_and(Node::is_folder)
    }

    /// What a file holds.
    pub(super) fn read(&self, path: &str) -> Result<Arc<Vec<u8>>, FileError> {
        let node = self.node(self.find(path)?)?;
        node.content.clone().ok_or(FileError::IsDirectory)
    }

    /// Makes an empty file in a folder that exists.
    pub(super) fn create(&mut self, path: &str, mode: u32) -> Result<Inode, FileError> {
        self.may_create(path)?;
        Ok(self.insert(path.to_owned(), Some(Arc::default()), mode))
    }

    /// Makes a folder in a folder that exists.
    pub(super) fn make_folder(&mut self, path: &str, mode: u32) -> Result<(), FileError> {
        self.may_create(path)?;
        self.insert(path.to_owned(), None, mode);
        Ok(())
    }

    /// Makes a folder and those it lies in; folders that exist stay as they are.
    pub(super) fn make_folders(&mut self, path: &str) -> Result<(), FileError> {
        if self.is_folder(path) {
            return Ok(());
        }
        if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            self.make_folders(above)?;
        }
        self.make_folder(path, 0o755)
    }

    /// Writes a whole file, with the folders it lies in; a file that exists keeps its mode.
    pub(super) fn put(&mut self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let (above, name) = path.rsplit_once('/').ok_or(FileError::Invalid)?;
        if name.is_empty() || path != absolute(path, "/") {
            return Err(FileError::Invalid);
        }
        if !above.is_empty() {
            self.make_folders(above)?;
        }
        let inode = match self.find(path) {
            Ok(inode) => inode,
            Err(_) => self.create(path, 0o644)?,
        };
        let node = self.node_mut(inode)?;
        *node.content.as_mut().ok_or(FileError::IsDirectory)? = Arc::new(content.to_vec());
        node.modified = now();
        Ok(())
    }

    /// Removes a file.
    pub(super) fn remove(&mut self, path: &str) -> Result<(), FileError> {
        if self.node(self.find(path)?)?.is_folder() {
            return Err(FileError::IsDirectory);
        }
        self.unlink(path);
        Ok(())
    }

    /// Removes an empty folder.
    pub(super) fn remove_folder(&mut self, path: &str) -> Result<(), FileError> {
        if !self.node(self.find(path)?)?.is_folder() {
            return Err(FileError::NotDirectory);
        }
        if path == "/" || self.below(path).next().is_some() {
            return Err(FileError::NotEmpty);
        }
        self.unlink(path);
        Ok(())
    }

    /// Removes a file or a folder with all that is in it.
    pub(super) fn remove_all(&mut self, path: &str) -> Result<(), FileError> {
        self.find(path)?;
        if path == "/" {
            return Err(FileError::Invalid);
        }
        let below: Vec<String> = self.below(path).map(str::to_owned).collect();
        for path in below {
            self.unlink(&path);
        }
        self.unlink(path);
        Ok(())
    }

    /// Gives a file or folder another name; a file there is replaced when asked, as rename(2) does.
    pub(super) fn rename(&mut self, from: &str, to: &str, replace: bool) -> Result<(), FileError> {
        let inode = self.find(from)?;
        let is_folder = self.node(inode)?.is_folder();
        if from == to && replace {
            return Ok(());
        }
        match self.find(to).and_then(|inode| self.node(inode)) {
            Ok(_) if !replace => return Err(FileError::Exists),
            Ok(node) if node.is_folder() && !is_folder => return Err(FileError::IsDirectory),
            Ok(node) if !node.is_folder() && is_folder => return Err(FileError::NotDirectory),
            Ok(node) if node.is_folder() && self.below(to).next().is_some() => {
                return Err(FileError::NotEmpty);
            }
            Ok(_) => self.unlink(to),
            Err(_) => self.may_create(to)?,
        }
        if is_folder
            && to
                .strip_prefix(from)
                .is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(FileError::Invalid);
        }
        let below: Vec<String> = self.below(from).map(str::to_owned).collect();
        for path in below {
            if let Some(inode) = self.names.remove(&path) {
                self.names
                    .insert(format!("{to}{}", &path[from.len()..]), inode);
            }
        }
        self.names.remove(from);
        self.names.insert(to.to_owned(), inode);
        Ok(())
    }

    /// The names in a folder with their nodes.
    pub(super) fn list(&self, path: &str) -> Result<Vec<(String, Node)>, FileError> {
        if !self.node(self.find(path)?)?.is_folder() {
            return Err(FileError::NotDirectory);
        }
        let start = if path == "/" { 1 } else { path.len() + 1 };
        let entries = self
            .below(path)
            .filter(|below| !below[start..].contains('/'));
        entries
            .map(|below| {
                Ok((
                    below[start..].to_owned(),
                    self.node(self.find(below)?)?.clone(),
                ))
            })
            .collect()
    }

    /// Notes that a handle was opened: the file stays until the handle is closed, whatever becomes of its name.
    pub(super) fn open(&mut self, inode: Inode) -> Result<(), FileError> {
        self.node_mut(inode)?.handles += 1;
        Ok(())
    }

    /// Notes that a handle was closed.
    pub(super) fn close(&mut self, inode: Inode) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.handles = node.handles.saturating_sub(1);
            if node.handles == 0 && !node.named {
                self.nodes.remove(&inode);
            }
        }
    }

    /// The paths below a folder.
    fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let prefix = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        let skip = prefix.clone();
        self.names
            .range(prefix.clone()..)
            .map(|(path, _)| path.as_str())
            .take_while(move |path| path.starts_with(&prefix))
            .filter(move |path| *path != skip)
    }

    fn may_create(&self, path: &str) -> Result<(), FileError> {
        match self.find(path) {
            Ok(_) => return Err(FileError::Exists),
            Err(FileError::NotFound) => {}
            Err(other) => return Err(other),
        }
        let above = match path.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((above, _)) => above,
            None => return Err(FileError::Invalid),
        };
        if self.is_folder(above) {
            Ok(())
        } else {
            Err(FileError::NotFound)
        }
    }

    fn insert(&mut self, path: String, content: Option<Arc<Vec<u8>>>, mode: u32) -> Inode {
        self.created += 1;
        let time = now();
        let node = Node {
            content,
            mode: mode & 0o7777,
            modified: time,
            accessed: time,
            named: true,
            handles: 0,
        };
        self.nodes.insert(self.created, node);
        self.names.insert(path, self.created);
        self.created
    }

    fn unlink(&mut self, path: &str) {
        if let Some(inode) = self.names.remove(path)
            && let Some(node) = self.nodes.get_mut(&inode)
        {
            node.named = false;
            if node.handles == 0 {
                self.nodes.remove(&inode);
            }
        }
    }
}

impl Node {
    pub(super) fn is_folder(&self) -> bool {
        self.content.is_none()
    }

    /// The number of bytes; 0 for a folder.
    pub(super) fn size(&self) -> u64 {
        self.content
            .as_ref()
            .map_or(0, |content| content.len() as u64)
    }

    /// Writes at an offset; a hole before it is filled with zeros.
    pub(super) fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), FileError> {
        let end = offset.saturating_add(data.len() as u64);
        if end > self.size() {
            self.resize(end)?;
        }
        let start = usize::try_from(offset).map_err(|_| FileError::TooLarge)?;
        let content = Arc::make_mut(self.content.as_mut().ok_or(FileError::IsDirectory)?);
        content[start..start + data.len()].copy_from_slice(data);
        self.modified = now();
        Ok(())
    }

    /// Cuts the file off, or adds zeros.
    pub(super) fn resize(&mut self, size: u64) -> Result<(), FileError> {
        if size > LARGEST_FILE {
            return Err(FileError::TooLarge);
        }
        let size = usize::try_from(size).map_err(|_| FileError::TooLarge)?;
        Arc::make_mut(self.content.as_mut().ok_or(FileError::IsDirectory)?).resize(size, 0);
        self.modified = now();
        Ok(())
    }
}

/// The path without `.`, `..`, and doubled or trailing slashes; a relative one is taken from `folder`.
pub(super) fn absolute(path: &str, folder: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { folder };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn now() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::clone(&Tree::initial())
    }

    fn names(tree: &Tree, path: &str) -> Vec<String> {
        tree.list(path)
            .expect(path)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn paths_are_made_absolute() {
        for (path, expected) in [
            ("a", "/home/sim/a"),
            ("./a//b/", "/home/sim/a/b"),
            ("../../../x", "/x"),
            ("/", "/"),
            ("/a/./b/..", "/a"),
            ("", "/home/sim"),
        ] {
            assert_eq!(absolute(path, "/home/sim"), expected, "{path}");
        }
    }

    #[test]
    fn files_and_folders_obey_posix() {
        let mut tree = tree();
        tree.put("/opt/app/bin/run", b"one").expect("written");
        assert_eq!(names(&tree, "/opt"), ["app"]);
        assert_eq!(names(&tree, "/opt/app/bin"), ["run"]);
        assert!(names(&tree, "/").contains(&"tmp".to_owned()));
        assert_eq!(
            tree.find("/opt/app/bin/run/x"),
            Err(FileError::NotDirectory)
        );
        assert_eq!(tree.find("/opt/none"), Err(FileError::NotFound));
        assert_eq!(tree.make_folder("/opt", 0o755), Err(FileError::Exists));
        assert_eq!(tree.create("/none/x", 0o644), Err(FileError::NotFound));
        assert_eq!(tree.remove("/opt/app"), Err(FileError::IsDirectory));
        assert_eq!(tree.remove_folder("/opt/app"), Err(FileError::NotEmpty));
        assert_eq!(tree.put("relative", b""), Err(FileError::Invalid));

        tree.put("/opt/other", b"two").expect("written");
        assert_eq!(
            tree.rename("/opt/other", "/opt/app/bin/run", false),
            Err(FileError::Exists)
        );
        assert_eq!(
            tree.rename("/opt/app", "/opt/app/bin/x", true),
            Err(FileError::Invalid)
        );
        tree.rename("/opt/other", "/opt/app/bin/run", true)
            .expect("replaced");
        tree.rename("/opt/app", "/srv/app", true).expect("moved");
        assert_eq!(
            tree.read("/srv/app/bin/run").expect("there").as_slice(),
            b"two"
        );
        tree.remove_all("/srv/app").expect("removed");
        assert_eq!(names(&tree, "/srv"), [""; 0]);
    }

    #[test]
    fn an_open_file_outlives_its_name() {
        let mut tree = tree();
        let inode = tree.create("/tmp/a", 0o600).expect("created");
        tree.open(inode).expect("opened");
        tree.remove("/tmp/a").expect("removed");
        tree.node_mut(inode)
            .expect("still open")
            .write_at(2, b"x")
            .expect("written");
        assert_eq!(tree.node(inode).expect("still open").size(), 3);
        tree.close(inode);
        assert_eq!(tree.node(inode).err(), Some(FileError::NotFound));
    }

    #[test]
    fn a_write_far_out_is_refused() {
        let mut tree = tree();
        let inode = tree.create("/tmp/a", 0o600).expect("created");
        let node = tree.node_mut(inode).expect("there");
        assert_eq!(node.write_at(u64::MAX, b"x"), Err(FileError::TooLarge));
        assert_eq!(node.write_at(1 << 40, b"x"), Err(FileError::TooLarge));
    }
}
