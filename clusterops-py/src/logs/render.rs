//! Hits as lines for people and programs.

use clusterops::logs::jiff::tz::TimeZone;
use clusterops::logs::render::{self, Format, Origin, Template};
use pyo3::prelude::*;

use super::hit::Hit;
use crate::errors::Raised;

/// Makes lines of hits.
///
/// Parameters
/// ----------
/// format : {'text', 'json'}
///     The time, where it is from, level and message; or the whole hit as JSON in one line.
/// template : str, optional
///     A line of one's own, such as ``{{time}} {{user.name}}``, in place of a format.
/// time_zone : str
///     The zone that times are shown in.
/// colours : bool
/// several_lines : bool
///     Whether a message of several lines is shown so.
/// time, level, host, service : bool
///     Whether text has them.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Renderer
/// >>> Renderer(template="{{time}} {{user.name}}: {{message}}", time_zone="UTC")
/// <Renderer template>
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Renderer {
    inner: render::Renderer,
    name: &'static str,
}

#[pymethods]
impl Renderer {
    #[new]
    #[pyo3(signature = (format = "text", *, template = None, time_zone = "UTC", colours = false, several_lines = false, time = true, level = true, host = true, service = true))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        format: &str,
        template: Option<&str>,
        time_zone: &str,
        colours: bool,
        several_lines: bool,
        time: bool,
        level: bool,
        host: bool,
        service: bool,
    ) -> PyResult<Self> {
        let (format, name) = match (template, format) {
            (Some(template), "text") => (Format::Template(Template::new(template)), "template"),
            (None, "text") => (Format::Text, "text"),
            (None, "json") => (Format::Json, "json"),
            _ => {
                let message = "a line is of the format 'text' or 'json', or of a template";
                return Err(Raised::invalid(message).into());
            }
        };
        let zone = TimeZone::get(time_zone).map_err(|error| {
            let message = format!("the time zone `{time_zone}`: {error}");
            PyErr::from(Raised::invalid(message))
        })?;
        let inner = render::Renderer::new()
            .format(format)
            .time_zone(zone)
            .colours(colours)
            .several_lines(several_lines)
            .time(time)
            .level(level)
            .host(host)
            .service(service);
        Ok(Self { inner, name })
    }

    /// The line of a hit, without its end.
    ///
    /// Parameters
    /// ----------
    /// hit : Hit
    /// cluster : str, optional
    ///     The cluster that it comes from, by the name that people gave it.
    /// remark : str, optional
    ///     A word about it, such as ``late``.
    #[pyo3(signature = (hit, *, cluster = None, remark = None))]
    fn render(&self, hit: &Hit, cluster: Option<&str>, remark: Option<&str>) -> String {
        let mut origin = Origin::default();
        if let Some(name) = cluster {
            origin = origin.cluster(name);
        }
        if let Some(word) = remark {
            origin = origin.remark(word);
        }
        self.inner.render_from(&hit.0, origin)
    }

    fn __repr__(&self) -> String {
        format!("<Renderer {}>", self.name)
    }
}
