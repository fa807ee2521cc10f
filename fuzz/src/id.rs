//! Target `id`: global ids. An input is an id, or the text in one: `Card:key`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wasteland_tarot::domain::error_code::ErrorCode;
use wasteland_tarot::graphql::id::GlobalId;

use crate::guard::assert_is_short;

/// An id that is accepted is the only one of its object; the error of another one is small.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(text);
    check(&URL_SAFE_NO_PAD.encode(text));
}

fn check(id: &str) {
    match GlobalId::parse("id", id) {
        Ok(object) => {
            assert_eq!(object.encode().as_str(), id, "another id of the same object");
            let mut written = Vec::new();
            object.encode_into(&mut written);
            assert_eq!(written, id.as_bytes(), "written in two ways");
            let plain = URL_SAFE_NO_PAD.decode(id).expect("an id is base64");
            assert!(plain.starts_with(object.type_name().as_bytes()), "of another type");
        }
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::BadUserInput);
            assert_is_short(&error.public_message());
        }
    }
}
