//! What may still run on a host: its end was not seen.

use serde::{Deserialize, Serialize};

use crate::Termination;
use crate::wire::Leader;

/// A stage, or its rollback, that was under way; and how its processes are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InFlight {
    pub(crate) stage: usize,
    pub(crate) attempt: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_rollback: bool,
    /// Whether files were being transferred: what is not whole yet stands beside its name then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_transfer: bool,
    /// The value of `CLUSTEROPS_TASK` in their environment, and a part of the names of unfinished files.
    pub(crate) tag: String,
    /// Who leads their group; of a transfer the server's side of it, where the host says which that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leader: Option<Leader>,
}

impl InFlight {
    /// Whether it can be a stage of so many; its tag becomes part of what a host is asked.
    pub(crate) fn fits(&self, stages: usize) -> bool {
        let is_tag =
            self.tag.len() >= 8 && self.tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        self.stage < stages && is_tag
    }

    /// The same for a later run: without its birth, its leader could be anybody by then.
    pub(crate) fn for_later(mut self) -> Self {
        self.leader = self.leader.filter(|leader| leader.birth.is_some());
        self
    }

    /// What a report says as long as nobody has looked.
    pub(crate) fn unconfirmed(&self) -> Termination {
        let what = if self.is_rollback {
            "rollback of"
        } else {
            "attempt"
        };
        let message = format!(
            "{what} {} at stage {} was under way when the controller ended, and may still run",
            self.attempt,
            self.stage + 1
        );
        Termination::Unconfirmed(message)
    }
}
