//! What became of a deployment.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::answers::{AppState, ShownState, is_version};
use super::client::app_request;
use super::{Deployment, Marathon, RunningDeployment};
use crate::http::HttpRequest;
use crate::{Error, ErrorKind, Result};

/// After so many looks, an app that is not complete when its deployment is over will not become so.
const PATIENCE: u32 = 5;

/// What became of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Followed {
    /// It is over, and what it wanted runs.
    Done {
        /// The app's tasks.
        tasks: Tasks,
        /// Whether the app has a new version; not when the definition said nothing new.
        changed: bool,
    },
    /// It is over, and what it wanted does not run.
    Failed {
        /// What is there in its place.
        failure: Failure,
        /// The app's tasks, where there is an app.
        tasks: Option<Tasks>,
        /// The last task of this version that failed.
        last_failure: Option<TaskFailure>,
    },
    /// It was under way when the deadline passed, and goes on: Marathon never gives up by itself.
    Unfinished {
        /// The step it was in, and how many there are.
        step: Option<(u64, u64)>,
        /// The app's tasks, as last seen.
        tasks: Option<Tasks>,
        /// The last task of this version that failed.
        last_failure: Option<TaskFailure>,
    },
}

/// How a deployment failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The app has another version: the deployment was rolled back, or a later one took its place.
    Replaced {
        /// The version that the app has.
        version: String,
    },
    /// The app is not there.
    Gone,
    /// The app has the version, and fewer tasks run than it should have, or some are not healthy: the deployment was
    /// ended, or its tasks failed right after it.
    Incomplete,
}

/// An app's tasks, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tasks {
    /// How many there should be.
    pub wanted: u64,
    /// How many run, of any version.
    pub running: u64,
    /// How many of them pass their health checks.
    pub healthy: u64,
    /// How many of them do not.
    pub unhealthy: u64,
    /// How many are about to start.
    pub staged: u64,
}

/// A task that failed, in Marathon's words; what repeats a posted value in them is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskFailure {
    /// Mesos's state, as `TASK_FAILED`.
    pub state: String,
    /// What Mesos or the executor said.
    pub message: String,
    /// The host it was on.
    pub host: String,
}

/// What one look saw.
enum Look {
    /// The deployment is under way; the app, where it could be seen.
    UnderWay(RunningDeployment, Option<AppState>),
    /// The deployment is not listed any more; the app, where there is one.
    Over(Option<AppState>),
}

/// What is known so far.
#[derive(Default)]
struct Seen {
    looks: u32,
    step: Option<(u64, u64)>,
    tasks: Option<Tasks>,
    last_failure: Option<TaskFailure>,
}

impl Marathon {
    /// Follows a deployment until it is over or the deadline passes, and tells what became of it.
    ///
    /// A deployment is over when `GET /v2/deployments` does not list it any more. Whether it succeeded is seen from the
    /// app: it has the deployment's version, as many tasks run as it should have, and none is unhealthy. Another version
    /// means that it was rolled back or that a later deployment took its place. An app that is not complete yet is looked
    /// at a few times more. While Marathon cannot be reached, as when it elects a leader, this keeps trying.
    ///
    /// Dropping the future ends the following, never the deployment.
    ///
    /// # Errors
    /// As [`app`](Marathon::app), each with the deployment that was started; when Marathon cannot be reached at the deadline,
    /// the reason.
    pub async fn follow(&self, deployment: &Deployment, deadline: Duration) -> Result<Followed> {
        let until = Instant::now() + deadline.min(Duration::from_secs(365 * 24 * 3600));
        let mut seen = Seen::default();
        let mut trouble: Option<Error> = None;
        let mut incomplete = 0;
        loop {
            match timeout_at(until, self.look(deployment)).await {
                Err(_) => break,
                Ok(Err(error)) if error.is_retryable() => trouble = Some(error),
                Ok(Err(error)) => return Err(unseen(deployment, error)),
                Ok(Ok(look)) => {
                    trouble = None;
                    seen.add(self, deployment, &look);
                    if let Look::Over(app) = look {
                        let verdict = verdict(deployment, app.as_ref(), &seen);
                        match verdict {
                            Some(Followed::Failed {
                                failure: Failure::Incomplete,
                                ..
                            }) if incomplete < PATIENCE => {
                                incomplete += 1;
                            }
                            Some(verdict) => return Ok(verdict),
                            None => {}
                        }
                    }
                }
            }
            let now = Instant::now();
            if now >= until {
                break;
            }
            sleep_until(until.min(now + self.poll)).await;
        }
        let too_late = || {
            let message = format!("{}: no answer within {deadline:?}", self.url());
            Error::new(ErrorKind::Timeout, message).retryable()
        };
        match trouble.or_else(|| (seen.looks == 0).then(too_late)) {
            Some(error) => Err(unseen(deployment, error)),
            None => Ok(Followed::Unfinished {
                step: seen.step,
                tasks: seen.tasks,
                last_failure: seen.last_failure,
            }),
        }
    }

    /// Looks at the deployments first: an app that is seen after them is at least as new.
    async fn look(&self, deployment: &Deployment) -> Result<Look> {
        let listed = self.deployments().await?;
        let listed = listed.into_iter().find(|listed| listed.id == deployment.id);
        match (listed, self.state(deployment).await) {
            // The app only adds to what is known here.
            (Some(listed), app) => Ok(Look::UnderWay(listed, app.unwrap_or_default())),
            (None, app) => Ok(Look::Over(app?)),
        }
    }

    async fn state(&self, deployment: &Deployment) -> Result<Option<AppState>> {
        let request = app_request(HttpRequest::get("/v2/apps"), &deployment.app)
            .query("embed", "app.counts")
            .query("embed", "app.deployments")
            .query("embed", "app.lastTaskFailure");
        let answer = self.get(request).await?;
        let Some(answer) = self.found(answer, Some(&deployment.withhold))? else {
            return Ok(None);
        };
        let ShownState { app } = answer.json()?;
        match app.id == deployment.app.as_str() && is_version(&app.version) {
            true => Ok(Some(app)),
            false => Err(answer.refused(ErrorKind::Answer, ", but it is not this app")),
        }
    }
}

/// Why the end of a deployment was not seen, of which the reader is to know that it goes on.
fn unseen(Deployment { id, app, .. }: &Deployment, error: Error) -> Error {
    error.within(|error| {
        format!("deployment {id} of {app} was started, and its end was not seen: {error}")
    })
}

/// The verdict on a deployment that is not listed any more; `None` while its app says that it is under way.
fn verdict(deployment: &Deployment, app: Option<&AppState>, seen: &Seen) -> Option<Followed> {
    let failed = |failure| Followed::Failed {
        failure,
        tasks: seen.tasks,
        last_failure: seen.last_failure.clone(),
    };
    let Some(app) = app else {
        return Some(failed(Failure::Gone));
    };
    let mut of_app = app.deployments.iter().flatten();
    if of_app.any(|listed| listed.id == deployment.id) {
        return None;
    }
    let changed = app.version == deployment.version;
    // Marathon keeps the version of an app that a definition does not change; a rollback makes a new one.
    let as_before = deployment.as_before.as_ref() == Some(&app.version);
    if !changed && !as_before {
        let version = app.version.clone();
        return Some(failed(Failure::Replaced { version }));
    }
    let tasks = Tasks::of(app);
    Some(
        match tasks.running >= tasks.wanted && tasks.unhealthy == 0 {
            true => Followed::Done { tasks, changed },
            false => failed(Failure::Incomplete),
        },
    )
}

impl Seen {
    fn add(&mut self, marathon: &Marathon, deployment: &Deployment, look: &Look) {
        self.looks += 1;
        let app = match look {
            Look::UnderWay(listed, app) => {
                self.step = Some((listed.step, listed.steps));
                app.as_ref()
            }
            Look::Over(app) => app.as_ref(),
        };
        let Some(app) = app else { return };
        self.tasks = Some(Tasks::of(app));
        let failure = app.last_task_failure.as_ref();
        // One that changed nothing has the version of before.
        let is_of_it = |version: &String| {
            *version == deployment.version || deployment.as_before.as_ref() == Some(version)
        };
        if let Some(failure) = failure.filter(|failure| is_of_it(&failure.version)) {
            let shown = |text: &str| marathon.shown(text, &deployment.withhold);
            self.last_failure = Some(TaskFailure {
                state: shown(&failure.state),
                message: shown(&failure.message),
                host: shown(&failure.host),
            });
        }
    }
}

impl Tasks {
    fn of(app: &AppState) -> Self {
        Self {
            wanted: app.instances,
            running: app.tasks_running,
            healthy: app.tasks_healthy,
            unhealthy: app.tasks_unhealthy,
            staged: app.tasks_staged,
        }
    }
}

impl Followed {
    /// Whether what was wanted runs.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tasks, last_failure) = match self {
            Self::Done { tasks, changed } => {
                let unchanged = if *changed {
                    ""
                } else {
                    ", nothing was to be changed"
                };
                return write!(f, "done: {tasks}{unchanged}");
            }
            Self::Failed {
                failure,
                tasks,
                last_failure,
            } => {
                write!(f, "failed: {failure}")?;
                (tasks, last_failure)
            }
            Self::Unfinished {
                step,
                tasks,
                last_failure,
            } => {
                f.write_str("not finished, and still under way")?;
                if let Some((step, steps)) = step {
                    write!(f, " in step {step} of {steps}")?;
                }
                (tasks, last_failure)
            }
        };
        if let Some(tasks) = tasks {
            write!(f, "; {tasks}")?;
        }
        match last_failure {
            Some(failure) => write!(f, "; the last task that failed: {failure}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced { version } => write!(
                f,
                "rolled back, or replaced by another deployment (the app has version {version})"
            ),
            Self::Gone => f.write_str("the app is not there any more"),
            Self::Incomplete => f.write_str("the deployment is over, and the app is not complete"),
        }
    }
}

impl fmt::Display for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} tasks run", self.running, self.wanted)?;
        match self.unhealthy {
            0 => Ok(()),
            unhealthy => write!(f, ", {unhealthy} unhealthy"),
        }
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::Printable;
        let (state, host, message) = (&self.state, &self.host, &self.message);
        write!(
            f,
            "{} on {}: {}",
            Printable(state),
            Printable(host),
            Printable(message)
        )
    }
}
