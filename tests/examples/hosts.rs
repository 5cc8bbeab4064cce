//! `hosts`, called as `nodeset` is.

use super::{folder, run, text};

#[test]
fn the_default_sources_groups_are_listed_without_its_name() {
    let folder = folder();
    let groups = folder.path().join("groups");
    std::fs::create_dir(&groups).expect("ours");
    let files = [
        ("groups.conf", "[Main]\ndefault: local\nautodir: $CFGDIR\n"),
        (
            "all.yaml",
            "local:\n  adm: example0\n  io: 'example[4-6]'\nracks:\n  r1: 'example[4-5]'\n",
        ),
    ];
    for (name, content) in files {
        std::fs::write(groups.join(name), content).expect("ours");
    }
    for (line, lines) in [
        ("list -g groups", "@adm\n@io\n@racks:r1\n"),
        (
            "list -ggroups example5",
            "@io example5\n@racks:r1 example5\n",
        ),
        ("expand -S, -ggroups @io", "example4,example5,example6\n"),
    ] {
        let ran = run("hosts", folder.path(), line, "");
        assert_eq!(text(&ran.stdout), lines, "{line}: {}", text(&ran.stderr));
    }
}
