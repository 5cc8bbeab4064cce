use russh_sftp::client::SftpSession;
use russh_sftp::client::error::Error;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::login;
use crate::sim::{Fault, Sim, SimHandle, SimHost};

async fn started() -> (Sim, SimHandle, SftpSession) {
    let host = SimHost::new("a").file("/etc/os-release", "ID=debian\n");
    let sim = Sim::start([host.named("b"), host]).await.expect("started");
    let session = login(&sim.target("a")).await;
    let channel = session.channel_open_session().await.expect("a channel");
    channel.request_subsystem(true, "sftp").await.expect("sent");
    let sftp = SftpSession::new(channel.into_stream())
        .await
        .expect("an SFTP session");
    let host = sim.host("a");
    (sim, host, sftp)
}

fn status(error: Error) -> StatusCode {
    match error {
        Error::Status(status) => status.status_code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn files_are_written_read_and_renamed() {
    let (sim, host, sftp) = started().await;
    assert_eq!(sftp.canonicalize(".").await.expect("a path"), "/home/sim");
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
    let attributes = FileAttributes {
        permissions: Some(0o600),
        ..FileAttributes::empty()
    };
    let mut file = sftp
        .open_with_flags_and_attributes("app.part", flags, attributes)
        .await
        .expect("opened");
    let content: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    file.write_all(&content).await.expect("written");
    file.sync_all().await.expect("synced");
    file.set_metadata(FileAttributes {
        permissions: Some(0o751),
        atime: Some(7),
        mtime: Some(9),
        ..FileAttributes::empty()
    })
    .await
    .expect("changed");
    file.shutdown().await.expect("closed");
    assert_eq!(
        host.read_file("/home/sim/app.part").expect("there"),
        content
    );

    sftp.rename("app.part", "/opt/app").await.expect("renamed");
    let metadata = sftp.metadata("/opt/app").await.expect("there");
    assert_eq!(metadata.permissions, Some(0o100_751));
    assert_eq!((metadata.size, metadata.mtime), (Some(1_000_000), Some(9)));
    let mut read = Vec::new();
    sftp.open("/opt/app")
        .await
        .expect("opened")
        .read_to_end(&mut read)
        .await
        .expect("read");
    assert!(read == content);

    let error = sftp.open("/opt/none").await.err().expect("not there");
    assert_eq!(status(error), StatusCode::NoSuchFile);
    // The host that was made from the same one has files of its own.
    sim.host("b").read_file("/opt/app").expect_err("not there");
    host.write_file("/etc/os-release", "ID=other\n")
        .expect("written");
    assert_eq!(
        sim.host("b").read_file("/etc/os-release").expect("there"),
        b"ID=debian\n"
    );
}

#[tokio::test]
async fn folders_are_made_listed_and_removed() {
    let (_sim, host, sftp) = started().await;
    sftp.create_dir("/srv/app").await.expect("made");
    host.write_file("/srv/app/one", "1").expect("written");
    host.write_file("/srv/app/two", "22").expect("written");
    let mut names: Vec<_> = sftp
        .read_dir("/srv/app")
        .await
        .expect("listed")
        .map(|entry| (entry.file_name(), entry.metadata().size))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [("one".to_owned(), Some(1)), ("two".to_owned(), Some(2))]
    );
    assert_eq!(
        status(sftp.remove_dir("/srv/app").await.expect_err("not empty")),
        StatusCode::Failure
    );
    sftp.remove_file("/srv/app/one").await.expect("removed");
    sftp.remove_file("/srv/app/two").await.expect("removed");
    sftp.remove_dir("/srv/app").await.expect("removed");
    assert!(!sftp.try_exists("/srv/app").await.expect("answered"));
}

#[tokio::test]
async fn a_full_disk_fails_writes() {
    let (_sim, host, sftp) = started().await;
    host.fault(Fault::DiskFull);
    let mut file = sftp.create("/opt/app").await.expect("opened");
    let written = async {
        file.write_all(b"content").await?;
        file.flush().await
    };
    written.await.expect_err("no space");
    host.heal();
    sftp.write("/opt/app", b"content").await.expect("written");
}
