//! Controllers that are killed (SIGKILL) when all their hosts have come to their end, and before they have written down how the
//! run ended.

use std::os::unix::process::ExitStatusExt as _;

use clusterops::journal::Journal;
use clusterops::report::Ending;
use clusterops::rollout::{Rollout, Share, WhenExceeded};
use clusterops::sim::{Answer, Sim, SimCommand, SimHost};
use clusterops::{Plan, Run, Stage, Step};
use serde_json::json;

use super::support::skip_or_fail;
use super::{fleet, part};

/// Kills the process that is about to write these words to a file. What is written is safe from that at once; without waiting for
/// the disk, and without the pauses between commits, few notes come into one write.
const KILLER: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <signal.h>
    #include <stdlib.h>
    #include <string.h>
    #include <time.h>
    #include <unistd.h>
    static void look(const void *bytes, size_t length) {
        const char *words = getenv("KILLED_AT_WORDS");
        if (words && memmem(bytes, length, words, strlen(words))) kill(getpid(), SIGKILL);
    }
    ssize_t write(int file, const void *bytes, size_t length) {
        static ssize_t (*real)(int, const void *, size_t);
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, "write");
        look(bytes, length);
        return real(file, bytes, length);
    }
    ssize_t pwrite(int file, const void *bytes, size_t length, off_t place) {
        static ssize_t (*real)(int, const void *, size_t, off_t);
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pwrite");
        look(bytes, length);
        return real(file, bytes, length, place);
    }
    ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t place) {
        static ssize_t (*real)(int, const void *, size_t, off64_t);
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
        look(bytes, length);
        return real(file, bytes, length, place);
    }
    int fsync(int file) { return 0; }
    int fdatasync(int file) { return 0; }
    int nanosleep(const struct timespec *span, struct timespec *left) { return 0; }
    int clock_nanosleep(clockid_t clock, int flags, const struct timespec *span, struct timespec *left) { return 0; }
"#;

/// How often the last note of the last host may come into one write with the run's ending.
const TRIES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_hosts_have_all_ended_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(library) = part::library(folder.path(), KILLER) else {
        let reason = "there is no C compiler (cc)";
        return skip_or_fail("a_run_whose_hosts_have_all_ended_is_over", reason);
    };
    let one_by_one = Rollout::default()
        .batches([Share::Hosts(1)])
        .failure_budget(Share::Hosts(0));
    let reason = "1 of 3 hosts failed, and the failure budget is 0";
    for (rollout, ending, succeeded, warnings) in [
        (Rollout::default(), Ending::Completed, "web[1,3]", vec![]),
        // Who was not let begin did not fail.
        (
            one_by_one
                .clone()
                .canaries("web2".parse().expect("a host set")),
            Ending::Stopped,
            "",
            vec!["the canary web2 failed".to_owned()],
        ),
        (
            one_by_one.when_exceeded(WhenExceeded::Abort),
            Ending::Aborted,
            "",
            vec![reason.to_owned()],
        ),
    ] {
        let two = |command: &SimCommand| Answer::status(u8::from(command.host == "web2"));
        let host = SimHost::new("")
            .scripts(Answer::stdout("said\n"))
            .answer_with("two", two)
            .answer("undo", Answer::new());
        let sim = Sim::start((1..=3).map(|number| host.named(format!("web{number}"))))
            .await
            .expect("loopback has room");
        let script = folder.path().join("script.sh");
        std::fs::write(&script, "echo said\n").expect("our folder");
        let plan = Plan::new("p")
            .stage(Stage::script("one", &script).rollback(Step::command(["undo"])))
            .stage(Stage::command("two", ["two"]));
        let journal = folder.path().join(format!("{ending:?}.journal"));

        let about = json!([plan, sim.targets(), rollout, journal]);
        let held = 'killed: {
            for _ in 0..TRIES {
                let mut command = part::command(&[], "resumed::part_that_goes_on", &about);
                let words = serde_json::to_string(&ending).expect("plain data");
                command
                    .env("LD_PRELOAD", &library)
                    .env("KILLED_AT_WORDS", words);
                let output = part::run(command).await;
                assert_eq!(output.status.signal(), Some(9), "{output:?}");
                let held = Journal::open(&journal).expect("a journal");
                assert!(!held.is_finished());
                if held.ended() == 3 {
                    break 'killed held.report();
                }
                std::fs::remove_file(&journal).expect("ours");
            }
            panic!("the last host never ended before the run");
        };
        assert_eq!(held.ending, Ending::Interrupted);
        let asked = || {
            let asked = sim
                .hosts()
                .map(|host| (host.connections(), host.commands().len()));
            asked.collect::<Vec<_>>()
        };
        let before = asked();

        // What a run needs that may undo something.
        if ending != Ending::Aborted {
            std::fs::remove_file(&script).expect("ours");
        }
        let fleet = fleet(sim.targets()).rollout(rollout);
        let run = fleet
            .resume(&plan, &journal)
            .expect("nothing is to be done");
        let report = run.await.expect("it is over");
        assert_eq!(report.hosts, held.hosts);
        assert_eq!(
            (report.run_id.as_str(), report.ending),
            (&*held.run_id, ending)
        );
        assert_eq!(report.succeeded().to_string(), succeeded, "{report}");
        assert_eq!(report.warnings, warnings);
        assert!(Journal::open(&journal).expect("ours").is_finished());
        let again = Run::resume(&journal).expect("it is over");
        assert_eq!(again.await.expect("it is over").hosts, held.hosts);
        assert_eq!(asked(), before, "{ending:?}");
    }
}
