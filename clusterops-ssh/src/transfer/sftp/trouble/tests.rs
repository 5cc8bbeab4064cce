use super::*;

#[test]
fn what_a_host_has_no_code_for_is_guessed() {
    let said = |code, path: &str, is_content| {
        let message = "Failure".to_owned();
        let trouble = Trouble::Refused(Refusal { code, message });
        let error = match is_content {
            true => trouble.when_filled(path.as_bytes()),
            false => trouble.when(path.as_bytes(), "written"),
        };
        error.full_message()
    };
    let long = "x".repeat(256);
    for code in [status::FAILURE, status::BAD_MESSAGE] {
        let text = said(code, &long, false);
        assert!(text.contains("no more than 255"), "{text}");
    }
    let denied = said(status::PERMISSION_DENIED, &long, false);
    assert!(denied.contains("permission denied"), "{denied}");
    for (code, is_content, is_guessed) in [
        (status::FAILURE, true, true),
        (status::FAILURE, false, false),
        (status::BAD_MESSAGE, true, false),
    ] {
        let text = said(code, "a", is_content);
        assert!(text.contains("the host says: Failure"), "{text}");
        assert_eq!(
            text.contains("(its disk may be full)"),
            is_guessed,
            "{text}"
        );
    }
}
