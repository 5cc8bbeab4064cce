//! Ansible inventories as clusterops reads them, compared with what `ansible-inventory --list` says.
//!
//! `CLUSTEROPS_ORACLE_PYTHON` names a Python that has ansible-core.

mod cases;
mod compare;
mod generate;
#[path = "../support/oracle.rs"]
mod oracle;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cases::CASES;
use clusterops::inventory::Inventory;
use compare::compare;
use generate::Generator;
use oracle::{Oracle, skip_or_fail};
use serde_json::Value;

#[test]
fn ansible_agrees() {
    let Some(python) = std::env::var_os("CLUSTEROPS_ORACLE_PYTHON") else {
        let reason = "CLUSTEROPS_ORACLE_PYTHON names no Python with ansible-core";
        return skip_or_fail("inventory_oracle", reason);
    };
    let oracle = Oracle::new("inventory", 400, 1000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut sources = Vec::new();
    for (number, (name, text)) in CASES.iter().enumerate() {
        let case = folder.path().join(format!("case{number}"));
        sources.push(write(&case, name, text));
    }
    for number in 0..oracle.cases as u64 {
        let seed = oracle.seed.wrapping_add(number);
        let case = folder.path().join(format!("seed{seed}"));
        std::fs::create_dir(&case).expect("a new folder");
        sources.push(Generator::new(seed).write(&case));
    }
    let answers = ask(Path::new(&python), &sources);
    let mut differences = Vec::new();
    let mut read = 0;
    for (source, theirs) in sources.iter().zip(&answers) {
        let ours = Inventory::load_ansible(source);
        let found = match (&ours, theirs) {
            (Ok(ours), Some(theirs)) => {
                read += 1;
                compare(ours, theirs)
            }
            (Err(_), None) => Vec::new(),
            // To Ansible that is an inventory, which nothing can be done with.
            (Err(error), Some(theirs)) if compare::members("all", theirs).is_empty() => {
                assert!(error.message().contains("holds no hosts"), "{error}");
                Vec::new()
            }
            (Ok(_), None) => vec!["Ansible refuses it".to_owned()],
            (Err(error), Some(_)) => vec![format!("only we refuse it: {error}")],
        };
        let named = |difference| format!("{}: {difference}", source.display());
        differences.extend(found.into_iter().map(named));
    }
    if !differences.is_empty() {
        println!("the files are kept in {}", folder.keep().display());
    }
    let what = format!("inventories compared with ansible-inventory ({read} that both read)");
    oracle.conclude(sources.len(), &what, &differences);
    assert!(
        read >= oracle.cases * 9 / 10,
        "most of the inventories are valid"
    );
}

/// Asks Ansible about all inventories; `None` for those it refuses.
fn ask(python: &Path, sources: &[PathBuf]) -> Vec<Option<Value>> {
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inventory_oracle/ask_ansible.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python of CLUSTEROPS_ORACLE_PYTHON starts");
    let mut input = child.stdin.take().expect("it is piped");
    let lines: String = sources
        .iter()
        .map(|source| format!("{}\n", source.display()))
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("Python ends");
    writer
        .join()
        .expect("no panic")
        .expect("Python reads all names");
    assert!(output.status.success(), "Ansible cannot be asked");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let answers: Vec<Option<Value>> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), sources.len());
    answers
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let parent = path.parent().expect("a file is in a folder");
    std::fs::create_dir_all(parent).expect("a new folder");
    std::fs::write(&path, text).expect("a new file");
    path
}
