//! Virtual environments for candidates that are written in Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Result, project, run, target_folder};

/// The Python of a virtual environment below the target folder with what these files of requirements name, made anew when
/// that has changed.
pub(crate) fn virtual_environment(name: &str, requirements: &[&str]) -> Result<PathBuf> {
    let folder = target_folder()?.join("benches").join(name);
    let made_from = folder.join("made-from");
    let mut wanted = Vec::new();
    for file in requirements {
        wanted.extend(std::fs::read(project(file))?);
    }
    let python = folder.join("bin/python");
    if std::fs::read(&made_from).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    println!("making a virtual environment in {}", folder.display());
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    let mut install = pip(&python);
    for file in requirements {
        install.arg("--requirement").arg(project(file));
    }
    run(&mut install)?;
    std::fs::write(made_from, wanted)?;
    Ok(python)
}

/// `pip install`, with what it is to install left to the caller.
pub(crate) fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet"]);
    command.arg("--disable-pip-version-check");
    command
}
