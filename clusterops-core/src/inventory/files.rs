//! Inventories on disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::ansible::{Alone, Files, Owner, PROGRAM};
use super::load::{self, Format};
use super::{Inventory, groups, native};
use crate::files::{self, is_special, names};
use crate::{Error, ErrorKind, Result};

/// The endings of files that a folder of inventories may hold and that are none (`INVENTORY_IGNORE_EXTS` of
/// ansible-core 2.19).
const IGNORED: [&str; 12] = [
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
];

/// How deep folders may be nested.
const MAX_DEPTH: usize = 32;

impl Inventory {
    /// Reads an inventory from a file or a folder.
    ///
    /// The format is found out as by [`parse`](Self::parse). A folder is an inventory of Ansible (a file of the native
    /// format in it is an error), and to such the variables in `group_vars` and `host_vars` beside the file, or in the
    /// folder, are added.
    ///
    /// ```
    /// use clusterops_core::inventory::Inventory;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("fleet.yaml");
    /// std::fs::write(&path, "hosts: {'web[1-3]': {zone: a}}")?;
    /// let inventory = Inventory::load(&path)?;
    /// assert_eq!(inventory.hosts().to_string(), "web[1-3]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`parse`](Self::parse); also a file that cannot be read, or is a program, a pipe that gives no whole text
    /// within 30 seconds, and a folder without an inventory.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            return Self::load_ansible(path);
        }
        let name = path.display().to_string();
        let text = read(path)?;
        match load::detect(&text, &name)? {
            Format::Native(document) => groups::assemble(native::read(&document, &name)?, &name),
            Format::Ansible => ansible(path, Some(&text)),
        }
    }

    /// Reads an inventory of Ansible from a file or a folder, whatever it looks like.
    ///
    /// ```
    /// use clusterops_core::inventory::Inventory;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// std::fs::create_dir(folder.join("group_vars"))?;
    /// std::fs::write(folder.join("group_vars/web.yml"), "zone: a")?;
    /// std::fs::write(folder.join("hosts"), "[web]\nweb[1:3]")?;
    /// let inventory = Inventory::load_ansible(folder)?;
    /// assert_eq!(inventory.resolve("@zone:a")?.to_string(), "web[1-3]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_ansible(path: impl AsRef<Path>) -> Result<Self> {
        ansible(path.as_ref(), None)
    }
}

/// Reads Ansible's files; `text` is that of a single file, if it was read already.
fn ansible(path: &Path, text: Option<&str>) -> Result<Inventory> {
    let mut files = Files::new();
    let base = if path.is_dir() {
        add_folder(&mut files, path, 0)?;
        files.check_not_empty(&path.display().to_string())?;
        path
    } else {
        let name = path.display().to_string();
        match text {
            Some(text) => files.add(text, &name, Alone::Yes)?,
            None => files.add(&read(path)?, &name, Alone::Yes)?,
        }
        path.parent().unwrap_or(Path::new(""))
    };
    let beside = |name: &str| Names::of(base.join(name));
    let (groups, hosts) = (beside("group_vars")?, beside("host_vars")?);
    let owners: Vec<Owner> = files.owners().collect();
    for owner in owners {
        let found = match &owner {
            Owner::Group(name) => groups.find(name)?,
            Owner::Host(name) => hosts.find(name)?,
        };
        for path in found {
            files.add_variables(&read(&path)?, &path.display().to_string(), &owner)?;
        }
    }
    files.finish(&path.display().to_string())
}

/// Adds the files of a folder in the order of their names.
fn add_folder(files: &mut Files, folder: &Path, depth: usize) -> Result<()> {
    check_depth(folder, depth)?;
    let wanted = |name: &str| {
        let special = matches!(name, "group_vars" | "host_vars" | "vars_plugins");
        !special && !name.starts_with('.') && !IGNORED.iter().any(|end| name.ends_with(end))
    };
    for name in names(folder, wanted)? {
        let path = folder.join(&name);
        if path.is_dir() {
            add_folder(files, &path, depth + 1)?;
        } else if is_special(&path) {
            let reason = "it is neither a file nor a folder";
            files.skip(&path.display().to_string(), Alone::No, reason)?;
        } else {
            files.add(&read(&path)?, &path.display().to_string(), Alone::No)?;
        }
    }
    Ok(())
}

/// The names in `group_vars` or `host_vars`.
struct Names {
    folder: PathBuf,
    names: BTreeSet<String>,
}

impl Names {
    fn of(folder: PathBuf) -> Result<Self> {
        let names = match folder.is_dir() {
            true => names(&folder, |name| !name.starts_with('.'))?,
            false => BTreeSet::new(),
        };
        Ok(Self { folder, names })
    }

    /// The files of one group or host: the first of `name` (also a folder of files), `name.yml`, `name.yaml` and
    /// `name.json`.
    fn find(&self, name: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let candidates = ["", ".yml", ".yaml", ".json"].map(|end| format!("{name}{end}"));
        if let Some(candidate) = candidates.iter().find(|name| self.names.contains(*name)) {
            let path = self.folder.join(candidate);
            if path.is_dir() {
                variable_files(&path, 0, &mut found)?;
            } else {
                found.push(path);
            }
        }
        Ok(found)
    }
}

/// The files of variables in a folder and the folders below.
fn variable_files(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    check_depth(folder, depth)?;
    for name in names(folder, |name| {
        !name.starts_with('.') && !name.ends_with('~')
    })? {
        let path = folder.join(&name);
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            None if path.is_dir() => variable_files(&path, depth + 1, found)?,
            None | Some("yml" | "yaml" | "json") if path.is_file() => found.push(path),
            _ => {}
        }
    }
    Ok(())
}

fn check_depth(folder: &Path, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        let message = format!(
            "folders are nested more than {MAX_DEPTH} deep at `{}`",
            folder.display()
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

/// The text of a file; of a program only its first bytes.
fn read(path: &Path) -> Result<String> {
    let bytes = files::read(path)?;
    if bytes.starts_with(PROGRAM.as_bytes()) {
        return Ok(PROGRAM.to_owned());
    }
    files::text(bytes, path)
}
