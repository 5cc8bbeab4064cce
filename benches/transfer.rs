//! `cargo bench --bench transfer`: one gibibyte up to a real sshd and down again, beside OpenSSH's sftp(1).
//!
//! Both use the same cipher, the only one that sshd is given, and the same key; both write to the same disk, without
//! verification and without having it synced. What sftp(1) does not do, comparing digests, is measured beside it. Each
//! candidate is a process of its own, and they take turns; sftp(1) counts with the ssh(1) that it starts.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/mod.rs"]
mod bench;
#[path = "../tests/support/mod.rs"]
mod support;

use bench::Result;
use bench::figures::{Candidate, cpu, peak, rounded, wall};
use bench::measure;
use clusterops::ssh::{Session, SessionOptions, TransferOptions};
use support::{Sshd, SshdOptions};

const SIZE: u64 = 1 << 30;
const ROUNDS: usize = 5;
const CIPHER: &str = "aes128-gcm@openssh.com";

/// The first arguments with which the benchmark calls itself.
const ROUNDS_MODE: &str = "rounds";
const TRANSFER_MODE: &str = "transfer";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((mode, rest)) if mode == measure::MODE => measure::in_own_process(rest),
        Some((mode, rest)) if mode == TRANSFER_MODE => transfer(rest),
        Some((mode, _)) if mode == ROUNDS_MODE => rounds(),
        _ => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/with-user");
            let error = Command::new(script)
                .arg(std::env::current_exe()?)
                .arg(ROUNDS_MODE)
                .exec();
            Err(format!("tests/with-user: {error}").into())
        }
    }
}

fn rounds() -> Result<()> {
    let options = SshdOptions::default().line(&format!("Ciphers {CIPHER}"));
    let Some(sshd) = Sshd::start(options) else {
        return Err("the benchmark needs a real sshd".into());
    };
    let place = Place::new(&sshd)?;
    let own = |direction, verify| place.own(&sshd, direction, verify);
    let mut candidates = [
        Candidate::new("upload", own("upload", "plain")?),
        Candidate::new("sftp put", place.sftp(&sshd, "put")),
        Candidate::new("download", own("download", "plain")?),
        Candidate::new("sftp get", place.sftp(&sshd, "get")),
        Candidate::new("upload, verified", own("upload", "verified")?),
        Candidate::new("download, verified", own("download", "verified")?),
        Candidate::new("nothing", own("nothing", "plain")?),
    ];
    println!(
        "{} MiB, {CIPHER}, login as {}, {ROUNDS} rounds after one to warm up",
        SIZE >> 20,
        sshd.user()
    );
    measure::in_turn(&mut candidates, ROUNDS)?;

    println!(
        "{:<20}{:>10}{:>10}{:>10}{:>12}",
        "median", "wall s", "MiB/s", "CPU s", "peak MiB"
    );
    for candidate in &candidates {
        let seconds = candidate.median(wall);
        println!(
            "{:<20}{seconds:>10.3}{:>10.0}{:>10.3}{:>12.1}",
            candidate.name,
            (SIZE >> 20) as f64 / seconds,
            candidate.median(cpu),
            candidate.median(peak),
        );
    }
    let [
        upload,
        put,
        download,
        get,
        verified_up,
        verified_down,
        nothing,
    ] = &candidates;
    let extra = [upload, download, verified_up, verified_down]
        .map(|candidate| candidate.median(peak) - nothing.median(peak))
        .into_iter()
        .fold(f64::MIN, f64::max);
    let figures = serde_json::json!({
        "upload_speed_vs_sftp": rounded(put.ratio(upload, wall)),
        "download_speed_vs_sftp": rounded(get.ratio(download, wall)),
        "extra_mb": rounded(extra * 1.048_576),
    });
    println!("{figures}");
    Ok(())
}

/// Where the files are: one to send, and what comes of it on both sides.
struct Place {
    source: PathBuf,
    there: PathBuf,
    here: PathBuf,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new(sshd: &Sshd) -> Result<Self> {
        // In memory where there is room, so that no disk is measured.
        let memory = Path::new("/dev/shm");
        let has_room = rustix::fs::statvfs(memory)
            .is_ok_and(|space| space.f_bavail * space.f_frsize > 4 * SIZE);
        let above = if has_room { memory } else { sshd.folder() };
        let folder = tempfile::Builder::new()
            .prefix("clusterops-transfer-")
            .tempdir_in(above)?;
        // The login user writes here, and so do we.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        let source = folder.path().join("source");
        let mut content = vec![0; 1 << 20];
        let mut file = std::fs::File::create(&source)?;
        for _ in 0..SIZE >> 20 {
            fastrand::fill(&mut content);
            std::io::Write::write_all(&mut file, &content)?;
        }
        std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o644))?;
        Ok(Self {
            source,
            there: folder.path().join("there"),
            here: folder.path().join("here"),
            _folder: folder,
        })
    }

    /// This program, as a client that transfers in one direction.
    fn own(&self, sshd: &Sshd, direction: &str, verify: &str) -> Result<Vec<String>> {
        let target = sshd.target("host", sshd.address());
        let (from, to) = match direction {
            "upload" => (&self.source, &self.there),
            _ => (&self.source, &self.here),
        };
        Ok(vec![
            std::env::current_exe()?.display().to_string(),
            TRANSFER_MODE.into(),
            direction.into(),
            verify.into(),
            serde_json::to_string(&target)?,
            from.display().to_string(),
            to.display().to_string(),
        ])
    }

    fn sftp(&self, sshd: &Sshd, verb: &str) -> Vec<String> {
        let to = match verb {
            "put" => &self.there,
            _ => &self.here,
        };
        let batch = format!("{verb} {} {}", self.source.display(), to.display());
        let known_hosts = sshd.known_hosts();
        let options = format!(
            "-q -F none -c {CIPHER} -P {} -i {} -o UserKnownHostsFile={} -o IdentitiesOnly=yes -b - {}@{}",
            sshd.port(),
            sshd.identity_file().display(),
            known_hosts.display(),
            sshd.user(),
            sshd.address()
        );
        let line = format!("echo '{batch}' | exec sftp {options}");
        vec!["/bin/sh".into(), "-c".into(), line]
    }
}

/// The other side of [`Place::own`].
fn transfer(arguments: &[String]) -> Result<()> {
    let [direction, verify, target, from, to] = arguments else {
        return Err("the arguments are DIRECTION VERIFY TARGET FROM TO".into());
    };
    let target = serde_json::from_str(target)?;
    let options = TransferOptions::default()
        .sync(false)
        .verify(verify == "verified");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let session = Session::connect(&target, &SessionOptions::default().agent(false)).await?;
        let files = session.files().await?.options(options);
        let bytes = match direction.as_str() {
            "upload" => files.upload(from, to).await?.bytes,
            "download" => files.download(from, to).await?.bytes,
            _ => SIZE,
        };
        files.close().await;
        session.close().await;
        if bytes == SIZE {
            Ok(())
        } else {
            Err(format!("{bytes} bytes were transferred").into())
        }
    })
}
