//! `cargo bench --bench python`: what the Python package costs.
//!
//! `uname -n` on 250 hosts at parallelism 100, with one real sshd behind all addresses, as in the bench `fleet`: by
//! `fleet.run` from Python, by the same in Rust, and by parallel-ssh. The interpreter and its imports count. Then operations
//! on host sets of 50,000 names in both languages, and how long a fresh interpreter takes for `import clusterops`.
//!
//! The wheel is built as `pip install` does, with the release profile, and installed in a virtual environment below the target
//! folder; that needs Python with `venv`, and for the first time the network.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clusterops::HostSet;

#[path = "support/mod.rs"]
mod bench;
#[path = "../tests/support/mod.rs"]
mod support;

use bench::figures::{Candidate, cpu, median, rounded, table, wall};
use bench::measure;
use bench::peers::{pip, virtual_environment};
use bench::work::Work;
use bench::{Result, fleet_run, project, run, target_folder};
use support::{Sshd, SshdOptions};

const HOSTS: usize = 250;
const PARALLELISM: usize = 100;
const ROUNDS: usize = 5;

/// What Python may use beside its share of the Rust call's CPU, in seconds: the interpreter's start and the import.
const ALLOWANCE: f64 = 0.06;

/// How often each operation on host sets is done, and how many interpreters import the package.
const OPERATIONS: usize = 7;
const IMPORTS: usize = 15;

/// The first argument with which the benchmark calls itself once the login user exists.
const ROUNDS_MODE: &str = "rounds";

fn main() -> Result<()> {
    bench::dispatch(|mode, _| match mode {
        Some(ROUNDS_MODE) => rounds(),
        _ => {
            let error = Command::new(project("tests/with-user"))
                .arg(std::env::current_exe()?)
                .arg(ROUNDS_MODE)
                .exec();
            Err(format!("tests/with-user: {error}").into())
        }
    })
}

fn rounds() -> Result<()> {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return Err("the benchmark needs a real sshd".into());
    };
    let python = environment()?;
    let mut candidates = candidates(&work(&sshd)?, &python)?;
    println!("{HOSTS} hosts, parallelism {PARALLELISM}, {ROUNDS} rounds after one to warm up");
    measure::in_turn(&mut candidates, ROUNDS)?;
    let [own, rust, parallel_ssh] = &candidates;
    print!("{}", table(own, &[rust, parallel_ssh], HOSTS));

    let pairs = own.costs.iter().zip(&rust.costs);
    let cpu_vs_rust = median(pairs.map(|(own, rust)| (cpu(own) - ALLOWANCE) / cpu(rust)));
    let import_ms = import(&python)?;
    println!("import clusterops: {import_ms:.1} ms, the median of {IMPORTS} interpreters");
    let figures = serde_json::json!({
        // Less the allowance.
        "cpu_vs_rust": rounded(cpu_vs_rust),
        "cpu_vs_parallel_ssh": rounded(own.ratio(parallel_ssh, cpu)),
        "wall_vs_parallel_ssh": rounded(own.ratio(parallel_ssh, wall)),
        "import_ms": rounded(import_ms),
        "hostset_vs_rust": rounded(host_sets(&python)?),
    });
    println!("{figures}");
    Ok(())
}

/// The Python of a virtual environment with parallel-ssh and with this package as it is now.
fn environment() -> Result<PathBuf> {
    let requirements = [
        "benches/peers/requirements.txt",
        "clusterops-py/tests/requirements.txt",
    ];
    let python = virtual_environment("python", &requirements)?;
    let wheels = target_folder()?.join("benches/wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels)?;
    }
    println!("building the wheel");
    run(Command::new(&python)
        .args(["-m", "maturin", "build", "--quiet", "--release", "--locked"])
        .arg("--manifest-path")
        .arg(project("clusterops-py/Cargo.toml"))
        .arg("--out")
        .arg(&wheels))?;
    let built = std::fs::read_dir(&wheels)?.next();
    let wheel = built.ok_or("maturin has built no wheel")??.path();
    run(pip(&python)
        .args(["--force-reinstall", "--no-deps"])
        .arg(wheel))?;
    Ok(python)
}

fn work(sshd: &Sshd) -> Result<Work> {
    let work = Work {
        port: sshd.port(),
        user: sshd.user().to_owned(),
        identity_file: sshd.identity_file(),
        known_hosts: sshd.known_hosts(),
        hosts: PathBuf::new(),
        parallelism: PARALLELISM,
        expected: String::new(),
    };
    work.on_loopback(sshd.folder(), HOSTS)
}

fn candidates(work: &Work, python: &Path) -> Result<[Candidate; 3]> {
    let rust = std::env::current_exe()?.display().to_string();
    let python = python.display().to_string();
    let peer = |file: &str| project("benches/peers").join(file).display().to_string();
    let candidate = |name, program: [String; 2]| {
        Candidate::new(name, [&program[..], &work.arguments()].concat())
    };
    Ok([
        candidate("Python", [python.clone(), peer("with_clusterops.py")]),
        candidate("Rust", [rust, fleet_run::MODE.into()]),
        candidate("parallel-ssh", [python, peer("with_parallel_ssh.py")]),
    ])
}

/// How long a fresh interpreter takes to import the package, in milliseconds.
fn import(python: &Path) -> Result<f64> {
    let code = "import time; start = time.perf_counter(); import clusterops; \
                print((time.perf_counter() - start) * 1000)";
    let mut times = Vec::new();
    // The first one may have to compile the modules.
    for round in 0..=IMPORTS {
        let text = answer(Command::new(python).args(["-c", code]), "")?;
        if round > 0 {
            times.push(text.trim().parse()?);
        }
    }
    Ok(median(times.into_iter()))
}

/// Prints what operations on host sets take in both languages; gives the worst ratio.
fn host_sets(python: &Path) -> Result<f64> {
    // Neither is a range: a third of the names, and a fifth, are not there.
    let expression = |divisor: u32, count: usize| {
        let numbers = (1u32..).filter(|number| number % divisor != 0);
        let names: Vec<String> = numbers.take(count).map(|n| format!("web{n:05}")).collect();
        names.join(",")
    };
    let (first, second) = (expression(3, 50_000), expression(5, 50_000));
    let input = format!("{first}\n{second}\n");
    let script = project("benches/peers/host_sets.py");
    let mut command = Command::new(python);
    command.arg(script).arg(OPERATIONS.to_string());
    let in_python: serde_json::Value = serde_json::from_str(&answer(&mut command, &input)?)?;

    let (one, other) = (HostSet::parse(&first)?, HostSet::parse(&second)?);
    let names: Vec<String> = one.iter().map(|name| name.to_string()).collect();
    let operations: [(&str, &dyn Fn() -> usize); 8] = [
        ("parse", &|| {
            HostSet::parse(&first).map_or(0, |set| set.len())
        }),
        ("from names", &|| HostSet::from_iter(&names).len()),
        ("fold", &|| one.to_string().len()),
        ("union", &|| (&one | &other).len()),
        ("intersection", &|| (&one & &other).len()),
        ("difference", &|| (&one - &other).len()),
        ("names", &|| {
            let names: Vec<String> = one.iter().map(|name| name.to_string()).collect();
            names.len()
        }),
        ("look up", &|| {
            names.iter().filter(|name| one.contains(name)).count()
        }),
    ];
    println!(
        "{:<16}{:>12}{:>12}{:>8}",
        "host sets", "Python ms", "Rust ms", "x"
    );
    let mut worst: f64 = 0.0;
    for (name, operation) in operations {
        let times = (0..OPERATIONS).map(|_| {
            let start = Instant::now();
            std::hint::black_box(operation());
            start.elapsed().as_secs_f64() * 1000.0
        });
        let in_rust = times.fold(f64::INFINITY, f64::min);
        let in_python = in_python[name].as_f64().ok_or("the script has it too")?;
        let ratio = in_python / in_rust;
        println!("{name:<16}{in_python:>12.3}{in_rust:>12.3}{ratio:>8.2}");
        worst = worst.max(ratio);
    }
    Ok(worst)
}

/// What a program writes to its standard output, when it is told this and ends well.
fn answer(command: &mut Command, input: &str) -> Result<String> {
    // With it set, Python would compile its modules in every run.
    command.env_remove("PYTHONDONTWRITEBYTECODE");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!("{command:?}: {}", output.status).into()),
    }
}
