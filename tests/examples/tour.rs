//! `tour`, where what it is told to write cannot be written.

use super::{folder, run, text};

/// It writes its report at the end, when the work is done: only the report may be lost, and that is told.
#[test]
fn a_report_for_which_there_is_no_room_is_told_and_costs_nothing_else() {
    let folder = folder();
    let ran = run("tour", folder.path(), "--report /dev/full", "");
    let (printed, said) = (text(&ran.stdout), text(&ran.stderr));
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("--report"), "what to do: {said}");
    assert!(printed.contains("60 of 60 hosts succeeded"), "{printed}");
    assert_eq!(ran.status.code(), Some(2), "{said}");
}
