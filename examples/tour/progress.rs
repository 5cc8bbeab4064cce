//! One live line for each stage.

use std::collections::HashMap;
use std::sync::Arc;

use clusterops::event::{Events, HostState};
use clusterops::{Event, Plan};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(crate) struct Progress {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
    hosts: HashMap<Arc<str>, HostState>,
}

impl Progress {
    pub(crate) fn new(plan: &Plan, hosts: usize) -> Self {
        // Drawn on standard error, and only where that is a terminal.
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15));
        let style = ProgressStyle::with_template("  {prefix:<11} [{bar:30}] {pos:>4}/{len} {msg}");
        let style = style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bars = plan.stages.iter().map(|stage| {
            let bar = all.add(ProgressBar::new(hosts as u64));
            bar.set_style(style.clone());
            bar.set_prefix(stage.name.clone());
            bar
        });
        Self {
            bars: bars.collect(),
            all,
            hosts: HashMap::new(),
        }
    }

    /// Shows the events until the run has ended.
    pub(crate) async fn show(mut self, mut events: Events) {
        while let Some(event) = events.next().await {
            if let Event::Host { host, state } = event {
                self.hosts.insert(host, state);
                self.draw();
            }
        }
        for bar in &self.bars {
            bar.abandon();
            if self.all.is_hidden() {
                crate::say(format_args!(
                    "  {:<11} {:>4}/{} {}",
                    bar.prefix(),
                    bar.position(),
                    bar.length().unwrap_or(0),
                    bar.message()
                ));
            }
        }
    }

    fn draw(&self) {
        let mut behind = vec![0; self.bars.len() + 1];
        let mut running = vec![0; self.bars.len()];
        let mut failed = vec![0; self.bars.len()];
        for state in self.hosts.values() {
            match state {
                HostState::Running { stage } => {
                    behind[*stage] += 1;
                    running[*stage] += 1;
                }
                HostState::Held { before } => behind[*before] += 1,
                HostState::Succeeded => behind[self.bars.len()] += 1,
                HostState::Failed { failure, .. } => {
                    let names = || self.bars.iter().map(ProgressBar::prefix);
                    let stage = failure
                        .stage
                        .as_ref()
                        .and_then(|stage| names().position(|name| name == *stage));
                    behind[stage.unwrap_or(0)] += 1;
                    failed[stage.unwrap_or(0)] += 1;
                }
                _ => {}
            }
        }
        // A host that is `n` stages behind it has passed each of the first `n`.
        let mut passed = 0;
        for stage in (0..self.bars.len()).rev() {
            passed += behind[stage + 1];
            let bar = &self.bars[stage];
            bar.set_position(passed);
            bar.set_message(match (running[stage], failed[stage]) {
                (0, 0) => String::new(),
                (running, 0) => format!("{running} running"),
                (0, failed) => format!("{failed} failed"),
                (running, failed) => format!("{running} running, {failed} failed"),
            });
        }
    }
}
