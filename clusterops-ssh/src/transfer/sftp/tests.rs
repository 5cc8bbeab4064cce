use super::*;

#[tokio::test(start_paused = true)]
async fn a_disk_that_writes_for_long_is_waited_for() {
    let (queue, mut packets) = mpsc::channel(4);
    let shared = Arc::new(Shared::default());
    let sftp = Sftp {
        inner: Arc::new(Inner {
            host: "web1".into(),
            queue,
            shared: Arc::clone(&shared),
            _open: oneshot::channel().0,
            features: Features {
                posix_rename: true,
                fsync: true,
                read: BLOCK,
                write: BLOCK,
            },
            window: Arc::new(Semaphore::new(1)),
            unfinished: Mutex::default(),
        }),
    };
    let handle = Handle(Bytes::from_static(b"h"));
    let mut answer = async || {
        packets.recv().await.expect("a request");
        packets.recv().await.expect("another one");
        tokio::time::sleep(10 * PATIENCE).await;
        let askers = std::mem::take(&mut shared.waiting().answers);
        assert_eq!(askers.len(), 2);
        for (_, asker) in askers {
            let (code, message) = (status::OK, String::new());
            let _ = asker.send(Reply::Status { code, message });
        }
    };
    // The server takes one request after the other.
    let (synced, closed, ()) = tokio::join!(
        sftp.sync(&handle),
        sftp.close_handle(handle.clone()),
        answer()
    );
    synced.expect("the disk did it");
    closed.expect("the server came to it");

    // Nothing excuses it any more.
    let still = sftp.close_handle(handle).await.expect_err("no answer");
    assert!(matches!(still, Trouble::Broken(error) if error.kind() == ErrorKind::Timeout));
}
