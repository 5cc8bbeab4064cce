//! The point in time of an export, which does without one where it must.

use std::time::Duration;

use crate::client::Pit;
use crate::{Client, ErrorKind, Indices, Result};

/// Opens a point in time: none where the server has no such thing, or refuses one.
pub(super) async fn open(
    client: &Client,
    indices: &Indices,
    keep_alive: Duration,
) -> Result<Option<String>> {
    if !client.server().await?.has_points_in_time() {
        return Ok(None);
    }
    match client.open_pit(indices, keep_alive).await {
        Ok(pit) => Ok(Some(pit.id().to_owned())),
        // What is wrong with the indices themselves, the search that follows says.
        Err(error) => match error.kind() {
            ErrorKind::Rejected
            | ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::Unavailable
            | ErrorKind::Server => Ok(None),
            _ => Err(error),
        },
    }
}

/// Gives a point in time back. It ends by itself too, so that errors do not matter.
pub(super) async fn close(client: &Client, pit: Pit) {
    let _ = client.close_pit(pit).await;
}
