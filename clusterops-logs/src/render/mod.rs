//! Hits as people read them: one line each, whatever shape the documents have.
//!
//! A [`Renderer`] makes text of a [`Hit`]; a [`Line`] is what it found in it, for those who show it in their own way.
//!
//! Each is looked for in these fields, in this order:
//!
//! - time: `@timestamp`, `timestamp`, `time`, `ts`, `@t`, `datetime`: text, or seconds to nanoseconds since 1970
//! - level: `log.level`, `level`, `severity`, `loglevel`, `log_level`, `severity_text`, `severityText`, `levelname`,
//!   `level_name`, `lvl`, `@l`, `log.syslog.severity.name`, `PRIORITY`
//! - host: `host.name`, `host.hostname`, `host`, `hostname`, `agent.hostname`, `beat.hostname`, `kubernetes.node.name`,
//!   `kubernetes.host`, `kubernetes.node_name`, `logsource`, `@source_host`, `syslog_hostname`, `_HOSTNAME`, `host.ip`
//! - service: `service.name`, `service`, `app`, `application`, `systemd.unit`, `kubernetes.container.name`,
//!   `kubernetes.container_name`, `kubernetes.labels.app`, `container.name`, `container_name`, `process.name`,
//!   `program`, `SYSLOG_IDENTIFIER`
//! - container: `container.id`, `kubernetes.pod.uid`, `kubernetes.pod.name`, `container.name`; it is not shown
//! - message: `message`, `msg`, `@message`, `log`, `body.text`, `body`, `@m`, `short_message`, `full_message`,
//!   `MESSAGE`, `event.original`, `log.original`, `error.message`; without any, the document
//!
//! [`Look`](crate::Look), which shows what stood around a line, finds a host and a service in the same. A dotted name is
//! found in nested objects, in keys that have dots, and in any mixture of the two.

mod fields;
mod highlight;
mod json;
mod level;
mod line;
mod style;
mod template;
mod text;
mod time;

pub use highlight::{MATCH_END, MATCH_START, Marked, highlighting};
use jiff::tz::TimeZone;
pub use level::{Level, Severity};
pub use line::Line;
pub use template::Template;

use crate::Hit;
use style::{Part, Style};
use text::Newlines;

/// Makes a line of text of each hit. What would act on a terminal is escaped as [`Printable`](clusterops_core::Printable)
/// does it; nothing is cut.
///
/// ```
/// use clusterops_logs::Hit;
/// use clusterops_logs::render::Renderer;
///
/// let hit: Hit = serde_json::from_str(
///     r#"{"_index": "logs", "_source": {
///         "@timestamp": "2026-01-02T03:04:05.1Z", "host": {"name": "web-1"}, "service.name": "shop",
///         "log.level": "error", "message": "payment\u001b[31m failed"
///     }}"#,
/// )?;
/// let renderer = Renderer::new();
/// assert_eq!(
///     renderer.render(&hit),
///     r"2026-01-02T03:04:05.100Z web-1 shop ERROR payment\u{1b}[31m failed"
/// );
/// assert_eq!(Renderer::message_only().host(true).render(&hit), r"web-1 payment\u{1b}[31m failed");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Renderer {
    format: Format,
    zone: TimeZone,
    style: Style,
    newlines: Newlines,
    time: bool,
    level: bool,
    host: bool,
    service: bool,
}

/// What becomes of a hit.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Format {
    /// Its time, where it is from, its level and its message.
    #[default]
    Text,
    /// The whole hit as JSON, in one line.
    Json,
    /// What a template says.
    Template(Template),
}

/// What is known about a hit that does not stand in it.
///
/// ```
/// use clusterops_logs::render::Origin;
///
/// let origin = Origin::default().cluster("eu").remark("late");
/// assert_ne!(origin, Origin::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    cluster: Option<&'a str>,
    remark: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// The cluster that it comes from, by the name that people gave it.
    #[must_use]
    pub fn cluster(mut self, name: &'a str) -> Self {
        self.cluster = Some(name);
        self
    }

    /// A word about it, such as `late`.
    #[must_use]
    pub fn remark(mut self, word: &'a str) -> Self {
        self.remark = Some(word);
        self
    }
}

impl Default for Renderer {
    fn default() -> Self {
        Self {
            format: Format::Text,
            zone: TimeZone::UTC,
            style: Style::Plain,
            newlines: Newlines::Escaped,
            time: true,
            level: true,
            host: true,
            service: true,
        }
    }
}

impl Renderer {
    /// Text with everything in it, in UTC, without colours, one line for a hit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Text that is the message and nothing else, until something is added.
    #[must_use]
    pub fn message_only() -> Self {
        Self {
            time: false,
            level: false,
            host: false,
            service: false,
            ..Self::default()
        }
    }

    /// What becomes of a hit.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The zone that times are shown in; UTC by default. What has no zone of its own is taken to be in UTC, as the
    /// servers do it.
    #[must_use]
    pub fn time_zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// Whether what matched, levels and origins are coloured, for terminals. Not by default.
    #[must_use]
    pub fn colours(mut self, used: bool) -> Self {
        self.style = match used {
            true => Style::Coloured,
            false => Style::Plain,
        };
        self
    }

    /// Whether a message of several lines is shown so, those after the first indented; by default it stays one line, with
    /// `\n` in it.
    #[must_use]
    pub fn several_lines(mut self, allowed: bool) -> Self {
        self.newlines = match allowed {
            true => Newlines::Continued,
            false => Newlines::Escaped,
        };
        self
    }

    /// Whether text begins with the time.
    #[must_use]
    pub fn time(mut self, shown: bool) -> Self {
        self.time = shown;
        self
    }

    /// Whether text has the level.
    #[must_use]
    pub fn level(mut self, shown: bool) -> Self {
        self.level = shown;
        self
    }

    /// Whether text has the host.
    #[must_use]
    pub fn host(mut self, shown: bool) -> Self {
        self.host = shown;
        self
    }

    /// Whether text has the service.
    #[must_use]
    pub fn service(mut self, shown: bool) -> Self {
        self.service = shown;
        self
    }

    /// The text of a hit, without the end of its line.
    pub fn render(&self, hit: &Hit) -> String {
        self.render_from(hit, Origin::default())
    }

    /// The text of a hit of which more is known, without the end of its line.
    ///
    /// ```
    /// use clusterops_logs::Hit;
    /// use clusterops_logs::render::{Format, Origin, Renderer};
    ///
    /// let hit: Hit = serde_json::from_str(r#"{"_index": "logs", "_id": "1", "_source": {"msg": "up"}}"#)?;
    /// let origin = Origin::default().cluster("eu");
    /// assert_eq!(Renderer::new().render_from(&hit, origin), "[eu] up");
    /// assert_eq!(
    ///     Renderer::new().format(Format::Json).render_from(&hit, origin),
    ///     r#"{"_cluster":"eu","_index":"logs","_id":"1","_source":{"msg":"up"}}"#
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn render_from(&self, hit: &Hit, origin: Origin<'_>) -> String {
        match &self.format {
            Format::Text => self.text(&Line::of(hit), origin),
            Format::Json => json::line(hit, origin),
            Format::Template(template) => template.fill(hit, origin.cluster, &self.zone),
        }
    }

    fn text(&self, line: &Line, origin: Origin<'_>) -> String {
        let mut output = String::new();
        let mut part = |part: Part, text: &Marked| {
            text::write(&mut output, text, part, self.style, Newlines::Escaped);
            output.push(' ');
        };
        if self.time {
            let time = line.time.map(|time| time::shown(time, &self.zone));
            if let Some(time) = time.or_else(|| line.time_text.clone()) {
                part(Part::Time, &time.into());
            }
        }
        if let Some(word) = origin.remark {
            part(Part::Remark, &format!("({word})").into());
        }
        if let Some(name) = origin.cluster {
            part(Part::Cluster, &format!("[{name}]").into());
        }
        for (shown, kind, text) in [
            (self.host, Part::Host, &line.host),
            (self.service, Part::Service, &line.service),
        ] {
            match text {
                Some(text) if shown => part(kind, text),
                _ => {}
            }
        }
        if let (true, Some(level)) = (self.level, &line.level) {
            let name = Marked::whole(level.name(), level.matched);
            part(Part::Level(level.severity), &name);
        }
        text::write(
            &mut output,
            &line.message,
            Part::Message,
            self.style,
            self.newlines,
        );
        output
    }
}

#[cfg(test)]
mod tests;
