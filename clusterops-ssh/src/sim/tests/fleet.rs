//! A plan over simulated hosts.

use crate::sim::{Answer, Fault, Sim, SimHost};
use crate::{Fleet, Plan, Stage};

#[tokio::test]
async fn a_plan_is_retried_on_a_healed_host() {
    let folder = tempfile::tempdir().expect("made");
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (archive, script) = (
        write("app.tar", &[7; 100_000]),
        write("start.sh", b"echo started\n"),
    );
    let host = SimHost::new("web").scripts(Answer::stdout("started\n"));
    let sim = Sim::start((1..=20).map(|n| host.named(format!("web{n:02}"))))
        .await
        .expect("started");
    sim.host("web07").fault(Fault::DiskFull);
    let plan = Plan::new("deploy")
        .stage(Stage::command("preflight", ["test", "-d", "/opt"]).barrier())
        .stage(Stage::upload("unpack", archive, "/opt/app.tar").mode(0o640))
        .stage(Stage::script("start", script));
    let fleet = Fleet::new(sim.targets());
    let report = fleet.run(&plan).expect("valid").await.expect("ran");
    assert_eq!(report.failed().to_string(), "web07");

    sim.host("web07").heal();
    let report = fleet
        .retry(&plan, &report)
        .expect("valid")
        .await
        .expect("ran");
    assert!(report.is_success());
    for host in sim.hosts() {
        assert_eq!(host.mode("/opt/app.tar").expect("there"), 0o640);
        assert_eq!(
            host.read_file("/opt/app.tar").expect("there").len(),
            100_000
        );
        let scripts: Vec<_> = host
            .commands()
            .iter()
            .filter_map(|command| command.script().map(<[u8]>::to_vec))
            .collect();
        assert_eq!(scripts, [b"echo started\n"]);
        // One connection for all stages, and one more for the retry.
        assert_eq!(
            host.connections(),
            if host.name() == "web07" { 2 } else { 1 }
        );
    }
}
