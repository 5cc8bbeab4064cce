//! Marathon's answers, as far as they are read. What is read from them is checked before anybody sees it.

use serde::Deserialize;
use serde_json::value::RawValue;

/// `GET /v2/apps/{id}`, for the definition.
#[derive(Deserialize)]
pub(super) struct ShownApp<'a> {
    #[serde(borrow)]
    pub(super) app: &'a RawValue,
}

/// `GET /v2/apps/{id}`, for the state.
#[derive(Deserialize)]
pub(super) struct ShownState {
    pub(super) app: AppState,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppState {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) instances: u64,
    pub(super) tasks_running: u64,
    pub(super) tasks_unhealthy: u64,
    #[serde(default)]
    pub(super) tasks_healthy: u64,
    #[serde(default)]
    pub(super) tasks_staged: u64,
    pub(super) deployments: Option<Vec<Named>>,
    pub(super) last_task_failure: Option<LastTaskFailure>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct LastTaskFailure {
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) host: String,
    #[serde(default)]
    pub(super) version: String,
}

/// `PUT /v2/apps/{id}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeploymentResult {
    pub(super) deployment_id: String,
    pub(super) version: String,
}

/// One of `GET /v2/deployments`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedDeployment {
    pub(super) id: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) affected_apps: Vec<String>,
    #[serde(default)]
    pub(super) current_step: u64,
    #[serde(default)]
    pub(super) total_steps: u64,
}

/// Whether a text can be a deployment's id: a UUID, or something as plain.
pub(super) fn is_deployment_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether a text is a version: a moment as `2015-09-30T09:09:17.614Z`.
pub(super) fn is_version(text: &str) -> bool {
    text.len() <= 40 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_moments_and_ids_are_plain() {
        assert!(is_version("2015-09-30T09:09:17.614Z"));
        for text in [
            "",
            "now",
            "2015-09-30",
            "2015-09-30T09:09:17.614+02:00",
            "Z",
            "hunter2Z",
        ] {
            assert!(!is_version(text), "{text}");
        }
        assert!(is_deployment_id("97c136bf-5a28-4821-9d94-480d9fbb01c8"));
        for text in ["", "a b", "a/b", &"x".repeat(65)] {
            assert!(!is_deployment_id(text), "{text}");
        }
    }
}
