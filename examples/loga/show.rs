//! Lines on standard output.

use std::io::{IsTerminal as _, stdout};

use clusterops::logs::Hit;
use clusterops::logs::render::{Format, Origin, Renderer};

use crate::output::{Unwritten, print};
use crate::settings::{Output, Settings};

/// Gathers lines, and prints them together.
pub(crate) struct Printer {
    renderer: Renderer,
    gathered: String,
    pub(crate) lines: u64,
}

/// How much is gathered at most.
const ENOUGH: usize = 64 << 10;

/// Whether lines are coloured: where somebody says so, else on a terminal (no-color.org).
pub(crate) fn has_colours(settings: &Settings) -> bool {
    settings.colours.unwrap_or_else(|| {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        !is_unwanted && stdout().is_terminal()
    })
}

impl Printer {
    pub(crate) fn new(settings: &Settings) -> Self {
        let renderer = match &settings.output {
            Output::Text => Renderer::new(),
            Output::Message => Renderer::message_only().host(settings.shows_host),
            Output::Json => Renderer::new().format(Format::Json),
            Output::Template(template) => {
                Renderer::new().format(Format::Template(template.clone()))
            }
        };
        let renderer = renderer
            .time_zone(settings.zone.clone())
            .colours(has_colours(settings))
            .several_lines(stdout().is_terminal());
        Self {
            renderer,
            gathered: String::new(),
            lines: 0,
        }
    }

    /// A hit of a cluster, which is named where there are several.
    pub(crate) fn hit(
        &mut self,
        hit: &Hit,
        cluster: &str,
        remark: Option<&str>,
    ) -> Result<(), Unwritten> {
        let mut origin = Origin::default();
        if !cluster.is_empty() {
            origin = origin.cluster(cluster);
        }
        if let Some(word) = remark {
            origin = origin.remark(word);
        }
        let line = self.renderer.render_from(hit, origin);
        self.lines += 1;
        self.text(&line)
    }

    /// A line that is shown as it is.
    pub(crate) fn text(&mut self, line: &str) -> Result<(), Unwritten> {
        self.gathered.push_str(line);
        self.gathered.push('\n');
        match self.gathered.len() < ENOUGH {
            true => Ok(()),
            false => self.flush(),
        }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Unwritten> {
        match self.gathered.is_empty() {
            true => Ok(()),
            false => print(std::mem::take(&mut self.gathered)),
        }
    }
}
