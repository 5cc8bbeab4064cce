//! Standard input that is written while the command runs.

use clusterops::Command;
use tokio::io::AsyncWriteExt as _;

use crate::connect;
use crate::support::{Sshd, SshdOptions};

#[tokio::test]
async fn input_and_output_go_on_side_by_side_until_the_input_is_closed() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd, &sshd.target("web1", "127.0.0.1")).await;
    let mut process = session
        .exec(&Command::new(["cat"]).stdin_streamed())
        .await
        .expect("it starts");
    let mut stdin = process.stdin().expect("it was asked for");
    assert!(process.stdin().is_none(), "it is given once");
    // An answer to each line, before the next is written.
    for line in ["one\n", "two\n"] {
        stdin.write_all(line.as_bytes()).await.expect("it reads");
        let chunk = process
            .next()
            .await
            .expect("it speaks")
            .expect("it goes on");
        assert_eq!(&chunk.bytes[..], line.as_bytes());
    }
    // More than every buffer on the way holds.
    let bytes = 8 << 20;
    let writing = tokio::spawn(async move {
        stdin.write_all(&vec![b'x'; bytes]).await?;
        stdin.shutdown().await
    });
    let mut read = 0;
    while let Some(chunk) = process.next().await.expect("it goes on") {
        read += chunk.bytes.len();
    }
    writing.await.expect("no panic").expect("it read all");
    assert_eq!(read, bytes);
    assert!(process.exit().is_success());
}

#[tokio::test]
async fn a_command_that_reads_no_more_is_a_broken_pipe() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd, &sshd.target("web1", "127.0.0.1")).await;
    let mut process = session
        .exec(&Command::new(["true"]).stdin_streamed())
        .await
        .expect("it starts");
    let mut stdin = process.stdin().expect("it was asked for");
    while process.next().await.expect("it ends").is_some() {}
    assert!(process.exit().is_success());
    let block = vec![0; 1 << 20];
    let error = loop {
        if let Err(error) = stdin.write_all(&block).await {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}
