//! The calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::answers::{DeploymentResult, ListedDeployment, ShownApp, is_deployment_id, is_version};
use super::refusal::{self, Shown};
use super::{AppDefinition, AppId};
use crate::http::{HttpClient, HttpOptions, HttpRequest, HttpResponse, Withhold};
use crate::{Error, ErrorKind, Result};

/// One Marathon (1.x), or what stands in front of it, as DC/OS's admin router.
///
/// Cheap to clone. The [module](super) shows its use.
#[derive(Clone)]
pub struct Marathon {
    http: HttpClient,
    pub(super) poll: Duration,
}

/// How to put an app.
///
/// ```
/// use clusterops_core::marathon::PutOptions;
///
/// let options = PutOptions::default().force(true);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PutOptions {
    force: bool,
    replace: bool,
}

/// A deployment that [`Marathon::put_app`] started.
///
/// It holds what [`Marathon::follow`] needs to keep the posted values out of what it tells: hashes of their pieces.
#[derive(Clone)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// The version that the app has when it succeeds: a moment as `2015-09-30T09:09:17.614Z`.
    pub version: String,
    /// The app.
    pub app: AppId,
    /// The version that the app had, if it was already as the definition wants it.
    pub(super) as_before: Option<String>,
    pub(super) withhold: Arc<Withhold>,
}

/// A deployment that Marathon has under way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningDeployment {
    /// Its id.
    pub id: String,
    /// The version that its apps get.
    pub version: String,
    /// The apps that it changes.
    pub apps: Vec<AppId>,
    /// The step under way, from 1; 0 before the first.
    pub step: u64,
    /// How many steps there are.
    pub steps: u64,
}

impl Marathon {
    /// The Marathon at this URL, as `https://marathon:8443` or `https://dcos.example.org/service/marathon`.
    ///
    /// # Errors
    /// As [`HttpClient::new`].
    pub fn new(url: &str, options: HttpOptions) -> Result<Self> {
        Ok(Self {
            http: HttpClient::new(url, options)?,
            poll: Duration::from_secs(1),
        })
    }

    /// How long [`follow`](Self::follow) waits between its looks; a second by default, and no less than a millisecond.
    #[must_use]
    pub fn poll_every(mut self, pause: Duration) -> Self {
        self.poll = pause.max(Duration::from_millis(1));
        self
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        self.http.url()
    }

    /// The app as it is (`GET /v2/apps/{id}`), or `None` where there is none of this id.
    ///
    /// Beside the definition it has the members of [`STATUS_MEMBERS`](super::STATUS_MEMBERS).
    ///
    /// # Errors
    /// As [`HttpClient::send`], and [`Denied`](ErrorKind::Denied), [`Unavailable`](ErrorKind::Unavailable) and the like for
    /// answers that refuse; [`NotFound`](ErrorKind::NotFound) where the URL is not Marathon's; [`Answer`](ErrorKind::Answer)
    /// for what is no app, or another one.
    pub async fn app(&self, id: &AppId) -> Result<Option<AppDefinition>> {
        let answer = self
            .http
            .send(app_request(HttpRequest::get("/v2/apps"), id))
            .await?;
        let Some(answer) = self.found(answer, None)? else {
            return Ok(None);
        };
        let shown: ShownApp<'_> =
            serde_json::from_slice(answer.body()).map_err(|error| answer.unreadable(&error))?;
        let definition = AppDefinition::parse(shown.app.get()).ok();
        match definition {
            Some(definition) if definition.id() == Some(id) => Ok(Some(definition)),
            _ => Err(answer.refused(ErrorKind::Answer, ", but it is not this app")),
        }
    }

    /// Creates an app or changes it (`PUT /v2/apps/{id}`), which starts a deployment.
    ///
    /// The definition is sent as it is written. Marathon keeps what it does not mention, unless
    /// [`PutOptions::replace`] says otherwise. Before, the running app is asked for, so that
    /// [`follow`](Self::follow) can tell a change that was none from one that was undone.
    ///
    /// The change itself is sent again only where Marathon did not get it or asks for that. When an error says that its
    /// answer was lost, look at [`deployments`](Self::deployments) first.
    ///
    /// # Errors
    /// [`Options`](ErrorKind::Options) when the definition names another app; [`Locked`](ErrorKind::Locked), with
    /// [`Locked`](super::Locked) as its cause, while a deployment changes the app; [`Rejected`](ErrorKind::Rejected) with
    /// Marathon's objections; others as [`app`](Self::app). None has a secret of the definition in it
    /// ([`AppDefinition::secrets`]).
    pub async fn put_app(
        &self,
        id: &AppId,
        definition: &AppDefinition,
        options: PutOptions,
    ) -> Result<Deployment> {
        if let Some(named) = definition.id().filter(|named| *named != id) {
            let message = format!(
                "the definition is that of {named}, and would be put in place of {id}; nothing was sent"
            );
            return Err(Error::new(ErrorKind::Options, message));
        }
        let before = self.app(id).await?;
        let withhold = definition.withhold();
        let mut request = app_request(HttpRequest::put("/v2/apps"), id)
            .json(definition.text())
            .withhold(withhold.clone())
            .repeatable(false);
        if options.force {
            request = request.query("force", "true");
        }
        if options.replace {
            request = request.query("partialUpdate", "false");
        }
        let answer = self.http.send(request).await.map_err(unclear)?;
        if !answer.is_success() {
            return Err(self.refusal(&answer, Some(&withhold)));
        }
        let started: DeploymentResult = answer.json().map_err(unclear)?;
        // What was posted could be quoted here too, and what is read here is shown.
        let sound = is_deployment_id(&started.deployment_id)
            && is_version(&started.version)
            && !definition_has(definition, &started.deployment_id);
        if !sound {
            let error = answer.refused(ErrorKind::Answer, ", but names no deployment");
            return Err(unclear(error));
        }
        let as_before = before
            .filter(|before| definition.is_met_by(before))
            .and_then(|before| before.to_json().get("version")?.as_str().map(str::to_owned));
        Ok(Deployment {
            id: started.deployment_id,
            version: started.version,
            app: id.clone(),
            as_before,
            withhold,
        })
    }

    /// The deployments under way (`GET /v2/deployments`).
    ///
    /// # Errors
    /// As [`app`](Self::app).
    pub async fn deployments(&self) -> Result<Vec<RunningDeployment>> {
        let answer = self.http.send(HttpRequest::get("/v2/deployments")).await?;
        if !answer.is_success() {
            return Err(self.refusal(&answer, None));
        }
        let listed: Vec<ListedDeployment> = answer.json()?;
        if !listed
            .iter()
            .all(|one| is_deployment_id(&one.id) && is_version(&one.version))
        {
            return Err(answer.refused(ErrorKind::Answer, ", but it is no list of deployments"));
        }
        let running = listed.into_iter().map(|one| RunningDeployment {
            id: one.id,
            version: one.version,
            apps: one
                .affected_apps
                .iter()
                .filter_map(|id| id.parse().ok())
                .collect(),
            step: one.current_step,
            steps: one.total_steps,
        });
        Ok(running.collect())
    }

    pub(super) async fn get(&self, request: HttpRequest) -> Result<HttpResponse> {
        self.http.send(request).await
    }

    /// An answer of success, or none for Marathon's own 404.
    pub(super) fn found(
        &self,
        answer: HttpResponse,
        withhold: Option<&Withhold>,
    ) -> Result<Option<HttpResponse>> {
        match answer.status() {
            404 if refusal::is_marathons(&answer) => Ok(None),
            404 => Err(answer.refused(ErrorKind::NotFound, "; is the URL Marathon's?")),
            _ if answer.is_success() => Ok(Some(answer)),
            _ => Err(self.refusal(&answer, withhold)),
        }
    }

    fn refusal(&self, answer: &HttpResponse, withhold: Option<&Withhold>) -> Error {
        let repeats_credentials = |text: &str| self.http.repeats_credentials(text);
        let shown = Shown {
            withhold,
            repeats_credentials: &repeats_credentials,
        };
        refusal::error_of(answer, &shown)
    }

    /// A text of Marathon's that is told to people.
    pub(super) fn shown(&self, text: &str, withhold: &Withhold) -> String {
        let repeats_credentials = |text: &str| self.http.repeats_credentials(text);
        let shown = Shown {
            withhold: Some(withhold),
            repeats_credentials: &repeats_credentials,
        };
        shown.text(text)
    }
}

impl fmt::Debug for Marathon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Marathon").field(&self.url()).finish()
    }
}

impl PutOptions {
    /// Ends a deployment that changes the app already, in place of an error.
    ///
    /// Marathon leaves what that deployment did as it is.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Replaces the whole definition (`partialUpdate=false`): what the new one does not mention gets Marathon's default,
    /// the number of instances too. Otherwise it keeps its value.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

/// An answer to a change that cannot be understood leaves open whether anything was changed.
fn unclear(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Answer => error.within(|error| {
            format!("{error}; whether a deployment was started is to be seen in Marathon")
        }),
        _ => error,
    }
}

/// Whether a deployment's id is a value of the definition, or stands in one.
fn definition_has(definition: &AppDefinition, id: &str) -> bool {
    use secrecy::ExposeSecret;
    definition.text().expose_secret().contains(id)
}

/// A request about an app.
pub(super) fn app_request(request: HttpRequest, id: &AppId) -> HttpRequest {
    id.segments()
        .fold(request, |request, segment| request.segment(segment))
}
