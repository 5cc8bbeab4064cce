//! How long reading and folding large host sets takes, and what else is read for as many hosts; the goals are those of the
//! project, not of a test.

use std::time::Instant;

use clusterops::Inventory;
use clusterops::hostset::HostSet;
use clusterops::ssh::known_hosts::{KnownHosts, PublicKey, Verdict};
use fastrand::Rng;

const ROUNDS: usize = 7;

fn main() {
    let random = &mut Rng::with_seed(1);
    let names: Vec<String> = (1..=50_000)
        .map(|number| format!("web{number:05}"))
        .collect();
    let mut shuffled = names.clone();
    random.shuffle(&mut shuffled);
    let (ordered, shuffled) = (names.join(","), shuffled.join(","));
    let mut machine = machine();
    assert_eq!(machine.len(), 9_472);
    random.shuffle(&mut machine);
    let irregular = irregular(random);
    let (inventory, known_hosts) = (inventory(&names), known_hosts(&names));
    let known = KnownHosts::parse(&known_hosts, "known_hosts");
    let key = KEY.parse().expect("a public key");

    let figures = [
        measure(
            "parse_50000_ms",
            "parse 50,000 names, in order",
            50.0,
            || parse(&ordered),
        ),
        measure(
            "parse_50000_shuffled_ms",
            "parse 50,000 names, shuffled",
            50.0,
            || parse(&shuffled),
        ),
        measure(
            "fold_5d_ms",
            "fold 9,472 names of five dimensions",
            1000.0,
            || fold(&machine),
        ),
        measure(
            "fold_5d_holes_ms",
            "the same with 500 of them out",
            1000.0,
            || fold(&machine[500..]),
        ),
        measure(
            "fold_2d_ms",
            "fold 2,000 irregular two-dimensional names",
            100.0,
            || fold(&irregular),
        ),
        measure(
            "inventory_50000_ms",
            "load an inventory of 50,000 hosts, select of it",
            2000.0,
            || select(&inventory),
        ),
        measure(
            "known_hosts_50000_ms",
            "load 50,000 lines of known_hosts",
            500.0,
            || KnownHosts::parse(&known_hosts, "known_hosts").files().len(),
        ),
        measure(
            "known_hosts_lookup_50000_ms",
            "look all of them up",
            500.0,
            || look_up(&known, &names, &key),
        ),
    ];
    let fields: Vec<String> = figures
        .iter()
        .map(|(key, milliseconds)| format!("\"{key}\": {milliseconds:.2}"))
        .collect();
    println!("{{{}}}", fields.join(", "));
}

/// Prints a row of the table, and gives the median.
fn measure(
    key: &'static str,
    title: &str,
    goal: f64,
    mut work: impl FnMut() -> usize,
) -> (&'static str, f64) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(work());
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let median = times[ROUNDS / 2];
    let (least, most) = (times[0], times[ROUNDS - 1]);
    println!("{title:46} {median:8.2} ms ({least:.2} to {most:.2}), goal {goal} ms");
    (key, median)
}

/// From names in any order to the folded text.
fn fold(names: &[String]) -> usize {
    HostSet::from_iter(names).to_string().len()
}

fn parse(text: &str) -> usize {
    HostSet::parse(text).expect("names and commas").len()
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbbg7UnmxliRFlgEZdXMBs/nYr+Y766px/59REwhhEI";

/// An entry for each host, with what inventories say of one.
fn inventory(names: &[String]) -> String {
    let mut text = String::from("hosts:\n");
    for (number, name) in names.iter().enumerate() {
        let [_, high, middle, low] = (number as u32).to_be_bytes();
        let zone = ["a", "b", "c"][number % 3];
        text.push_str(&format!(
            "  {name}: {{address: 10.{high}.{middle}.{low}, role: agent, zone: {zone}, tags: [public], version: \"1.4\"}}\n"
        ));
    }
    text
}

fn select(inventory: &str) -> usize {
    let inventory = Inventory::parse(inventory, "fleet.yaml").expect("it is one");
    let selected = inventory
        .select("@role:agent&@zone:a")
        .expect("variables of hosts");
    selected.len()
}

/// A line for each host.
fn known_hosts(names: &[String]) -> String {
    names.iter().map(|name| format!("{name} {KEY}\n")).collect()
}

fn look_up(known: &KnownHosts, names: &[String], key: &PublicKey) -> usize {
    let verdicts = names.iter().map(|name| known.lookup(name, 22, key));
    let found = verdicts
        .filter(|verdict| *verdict == Verdict::Known)
        .count();
    assert_eq!(found, names.len());
    found
}

/// The compute nodes of a large Cray machine: 74 cabinets of 8 chassis of 8 blades of 2 boards.
fn machine() -> Vec<String> {
    let mut names = Vec::new();
    for cabinet in (0..74).map(|number| 2000 + 100 * (number / 12) + number % 12) {
        for (chassis, blade, board) in
            (0..128).map(|number| (number / 16, number / 2 % 8, number % 2))
        {
            names.push(format!("x{cabinet}c{chassis}s{blade}b{board}n0"));
        }
    }
    names
}

/// Each of 100 racks has its own 20 nodes out of 100.
fn irregular(random: &mut Rng) -> Vec<String> {
    let mut names = Vec::new();
    for rack in 1..=100 {
        let mut nodes: Vec<u32> = (1..=100).collect();
        random.shuffle(&mut nodes);
        names.extend(nodes[..20].iter().map(|node| format!("r{rack}n{node:03}")));
    }
    names
}
