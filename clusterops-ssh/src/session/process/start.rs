//! How a command is started.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::ChannelReadHalf;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::{Process, State, TASK_VARIABLE};
use crate::session::ascent::Ascent;
use crate::session::channel_input::ChannelInput;
use crate::session::feed::{CUES, Feed, Input};
use crate::session::inbox::{self, Inbox, Source};
use crate::session::link::{ANSWERING, Link};
use crate::session::typed_ahead::TypedAhead;
use crate::wire::ending::EndMark;
use crate::wire::rise::Rise;
use crate::wire::{self, terminal};
use crate::{Command, Result};

/// Input up to this size goes out at once; more is sent beside the reading of output, since a command may write before
/// it reads.
const INLINE_INPUT: usize = 32 << 10;

/// What is settled about a command before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The value of [`TASK_VARIABLE`] in its environment; letters and digits.
    pub(crate) tag: String,
    /// Whether the host is to hold it until it is [let go](Process::release): then a controller that ends halfway leaves
    /// either a process that can be found, or nothing that could still start later. It costs a round trip.
    pub(crate) is_held: bool,
    /// How long whoever reads its output may stop; `None` where they never do, so that nothing has to stand between.
    pub(crate) patience: Option<Duration>,
}

impl Launch {
    /// A launch that nobody needs to find later.
    pub(crate) fn new() -> Self {
        Self {
            tag: Process::new_tag(),
            is_held: false,
            patience: Some(inbox::PATIENCE),
        }
    }
}

impl Process {
    pub(in crate::session) async fn start(
        (output, input): (ChannelReadHalf, ChannelInput),
        command: &Command,
        launch: Launch,
        link: &Link,
    ) -> Result<Self> {
        let Launch {
            tag,
            is_held,
            patience,
        } = launch;
        let (mut request, script) = command.request(tag.clone())?;
        request.is_held = is_held;
        request
            .environment
            .push((TASK_VARIABLE.into(), tag.clone()));
        let has_terminal = request.has_terminal;
        let mut header = BytesMut::from(request.header().as_bytes());
        if !script.is_empty() || matches!(request.program, wire::Program::Script { .. }) {
            header.extend_from_slice(&script);
            header.extend_from_slice(request.script_end().as_bytes());
        }
        let raised = command.raised.clone();
        let rise = raised.as_ref().map(|raised| Rise {
            tag: tag.clone(),
            run_as: raised.run_as.clone(),
            has_terminal,
        });

        let typed_ahead = has_terminal.then(|| TypedAhead::new(link));
        let source = Source {
            output,
            grants: typed_ahead.as_ref().map(TypedAhead::grants),
        };
        if has_terminal {
            input
                .request_pty(true, "dumb", 80, 24, 0, 0, &terminal::MODES)
                .await?;
        }
        input.exec(true, wire::BOOTSTRAP).await?;
        let input = Arc::new(input);
        let mut process = Self {
            output: match patience {
                None => Inbox::Direct(source),
                Some(patience) => {
                    Inbox::keeping(source, Arc::clone(&input), patience, link.stalled.clone())
                }
            },
            input,
            feeding: None,
            cues: None,
            stdin: None,
            raised,
            has_terminal,
            awaits_terminal: has_terminal,
            answer_due: Some(Instant::now() + ANSWERING),
            directory: request.directory,
            host: link.settings.name.clone(),
            lost: link.lost.clone(),
            tag,
            state: State::starting(),
            refusal: None,
            exit: None,
            is_held,
            held_input: None,
            end_mark: request.ending.as_ref().map(EndMark::new),
            closing_due: None,
        };
        let is_plain = !has_terminal && rise.is_none() && !command.is_streamed;
        if is_plain && header.len() + command.stdin.len() <= INLINE_INPUT {
            let sending = async {
                if is_held {
                    let go = wire::Request::go(&process.tag);
                    process.held_input = Some([go.as_bytes(), &command.stdin].concat().into());
                    let _ = process.input.data_bytes(header.freeze()).await;
                } else {
                    header.extend_from_slice(&command.stdin);
                    process.send_last(header.freeze()).await;
                }
            };
            // sshd makes room for it when it has answered.
            if timeout(ANSWERING, sending).await.is_err() {
                let error = process.unanswered();
                return Err(process.give_up(error));
            }
            return Ok(process);
        }
        let rising = rise.as_ref().map(|rise| Bytes::from(rise.line()));
        if let (Some(rise), Some(raised)) = (rise, &process.raised) {
            process.state = State::Rising(Box::new(Ascent::new(rise, raised.clone())));
        }
        let input = if command.is_streamed {
            let (stdin, input) = Input::streamed();
            process.stdin = Some(stdin);
            input
        } else {
            Input::Whole(command.stdin.clone())
        };
        let password = process
            .raised
            .as_ref()
            .and_then(|raised| raised.password.clone());
        let feed = Feed {
            rise: rising.map(|line| (line, password)),
            header: header.freeze(),
            go: is_held.then(|| wire::Request::go(&process.tag).into()),
            input,
            typed_ahead,
            answer: request.ending.as_ref().map(|end| end.answer().into()),
        };
        let (cues, cued) = mpsc::channel(CUES);
        let feeding = tokio::spawn(feed.run(Arc::clone(&process.input), cued));
        process.feeding = Some(feeding.abort_handle());
        process.cues = Some(cues);
        Ok(process)
    }

    /// A tag that no other command has.
    pub(crate) fn new_tag() -> String {
        format!("{:016x}", fastrand::u64(..))
    }
}
