//! Lines on standard output.

use std::io::{IsTerminal as _, stdout};

use clusterops::logs::Hit;
use clusterops::logs::look::Line;
use clusterops::logs::render::{Format, Origin, Renderer};

use crate::output::{Unwritten, print};
use crate::settings::{Output, Settings};

/// Gathers lines, and prints them together.
pub(crate) struct Printer {
    renderer: Renderer,
    /// For lines that stand around others: dim where there are colours.
    context: Renderer,
    has_colours: bool,
    /// Whether what was looked for is told from the lines around it by a sign before each, as grep(1) does.
    has_signs: bool,
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
        let has_colours = has_colours(settings);
        let context = renderer
            .time_zone(settings.zone.clone())
            .several_lines(stdout().is_terminal());
        Self {
            renderer: context.clone().colours(has_colours),
            context,
            has_colours,
            has_signs: matches!(settings.output, Output::Text | Output::Message),
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

    /// A line that was looked for, or one near it.
    pub(crate) fn line(&mut self, line: &Line, cluster: &str) -> Result<(), Unwritten> {
        if !self.has_signs {
            let remark = (!line.matched).then_some("context");
            return self.hit(&line.hit, cluster, remark);
        }
        let mut origin = Origin::default();
        if !cluster.is_empty() {
            origin = origin.cluster(cluster);
        }
        self.lines += 1;
        let text = match line.matched {
            true => format!(": {}", self.renderer.render_from(&line.hit, origin)),
            false => format!("- {}", self.context.render_from(&line.hit, origin)),
        };
        match self.has_colours && !line.matched {
            true => self.text(&format!("\u{1b}[2m{text}\u{1b}[0m")),
            false => self.text(&text),
        }
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
