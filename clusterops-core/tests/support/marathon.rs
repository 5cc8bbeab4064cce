//! A Marathon with one app, which answers as Marathon 1.x documents it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Reply, Request, Server};

pub(crate) const BEFORE: &str = "2015-09-30T09:00:00.000Z";
pub(crate) const AFTER: &str = "2015-09-30T09:09:17.614Z";
pub(crate) const ROLLED_BACK: &str = "2015-09-30T09:10:00.000Z";
pub(crate) const DEPLOYMENT: &str = "97c136bf-5a28-4821-9d94-480d9fbb01c8";
pub(crate) const OTHER: &str = "44c4ed48-ee53-4e0f-82dc-4df8b2a69057";

/// How deployments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// They are listed so many times, then done.
    Done(usize),
    /// They go on for ever; their tasks fail.
    Never,
    /// They are listed once, then the app has another version.
    RolledBack,
    /// They are listed once, then there is no app.
    Gone,
    /// They are listed once, then a task is missing.
    Incomplete,
}

#[derive(Debug)]
struct State {
    app: Option<Value>,
    /// The deployment's version and how often it was listed.
    deployment: Option<(&'static str, usize)>,
}

/// Starts one with this app, or none; `failure` is what the last task that failed said.
pub(crate) async fn start(app: Option<Value>, course: Course, failure: &str) -> Server {
    let state = State {
        app: app.map(with_state),
        deployment: None,
    };
    let (state, failure) = (Arc::new(Mutex::new(state)), failure.to_owned());
    Server::start(move |request, _| answer(&mut state.lock().unwrap(), course, &failure, request))
        .await
}

/// A definition with the state that Marathon shows of it.
fn with_state(mut app: Value) -> Value {
    let instances = app.get("instances").cloned().unwrap_or(json!(1));
    for (name, value) in [
        ("instances", &instances),
        ("version", &json!(BEFORE)),
        ("tasksStaged", &json!(0)),
        ("tasksRunning", &instances),
        ("tasksHealthy", &json!(0)),
        ("tasksUnhealthy", &json!(0)),
        ("deployments", &json!([])),
        ("executor", &json!("")),
    ] {
        app[name] = value.clone();
    }
    app
}

fn answer(state: &mut State, course: Course, failure: &str, request: &Request) -> Reply {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    match (request.method.as_str(), path) {
        ("GET", "/v2/deployments") => deployments(state, course, failure),
        ("GET", path) if path.starts_with("/v2/apps/") => match &state.app {
            Some(app) if app["id"] == path["/v2/apps".len()..] => {
                Reply::json(200, json!({ "app": app }).to_string())
            }
            _ => {
                let id = &path["/v2/apps".len()..];
                Reply::json(
                    404,
                    json!({ "message": format!("App '{id}' does not exist") }).to_string(),
                )
            }
        },
        ("PUT", path) if path.starts_with("/v2/apps/") => {
            put(state, query, &path["/v2/apps".len()..], request)
        }
        _ => Reply::json(404, json!({"message": "URI not found"}).to_string()),
    }
}

fn put(state: &mut State, query: &str, id: &str, request: &Request) -> Reply {
    let forced = query.split('&').any(|pair| pair == "force=true");
    if state.deployment.is_some() && !forced {
        let body = json!({
            "message": "App is locked by one or more deployments. Override with the option '?force=true'. \
                View details at '/v2/deployments/<DEPLOYMENT_ID>'.",
            "deployments": [{ "id": OTHER }],
        });
        return Reply::json(409, body.to_string());
    }
    let Ok(mut posted) = serde_json::from_str::<Value>(&request.body) else {
        let body = json!({"message": "Invalid JSON", "details": "Unexpected character"});
        return Reply::json(400, body.to_string());
    };
    posted["id"] = json!(id);
    let created = state.app.is_none();
    let app = state.app.get_or_insert_with(|| with_state(json!({})));
    let before = app.clone();
    for (name, value) in posted.as_object().unwrap() {
        app[name] = value.clone();
    }
    if *app != before {
        app["version"] = json!(AFTER);
    }
    state.deployment = Some((AFTER, 0));
    let body = json!({ "version": AFTER, "deploymentId": DEPLOYMENT });
    Reply::json(if created { 201 } else { 200 }, body.to_string())
}

/// The list of deployments; with each look at it the one there gets on.
fn deployments(state: &mut State, course: Course, failure: &str) -> Reply {
    let Some((version, looks)) = &mut state.deployment else {
        return Reply::json(200, "[]");
    };
    let over = match course {
        Course::Done(looks_until) => *looks >= looks_until,
        Course::Never => false,
        _ => *looks >= 1,
    };
    *looks += 1;
    let app = state.app.as_mut().unwrap();
    let failed = json!({
        "appId": app["id"], "host": "10.141.141.10", "message": failure, "state": "TASK_FAILED",
        "taskId": "web.cc427e60-5046-11e4-9e34-56847afe9799", "timestamp": ROLLED_BACK, "version": app["version"],
    });
    if !over {
        if course == Course::Never {
            app["tasksRunning"] = json!(0);
            app["lastTaskFailure"] = failed;
        }
        app["deployments"] = json!([{ "id": DEPLOYMENT }]);
        let listed = json!([{
            "id": DEPLOYMENT, "version": version, "affectedApps": [app["id"]], "affectedPods": [],
            "steps": [{"actions": [{"action": "RestartApplication", "app": app["id"]}]}],
            "currentActions": [{"action": "RestartApplication", "app": app["id"], "readinessCheckResults": []}],
            "currentStep": 1, "totalSteps": 2,
        }]);
        return Reply::json(200, listed.to_string());
    }
    state.deployment = None;
    app["deployments"] = json!([]);
    app["tasksRunning"] = app["instances"].clone();
    match course {
        Course::RolledBack => app["version"] = json!(ROLLED_BACK),
        Course::Gone => state.app = None,
        Course::Incomplete => {
            app["tasksRunning"] = json!(app["instances"].as_u64().unwrap() - 1);
            app["lastTaskFailure"] = failed;
        }
        _ => {}
    }
    Reply::json(200, "[]")
}
