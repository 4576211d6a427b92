//! Where the next page of rooms begins: the last name of the page before, in a form that says it is ours.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tonic::Status;

/// The first byte of every token; another format would have another.
const FORMAT: u8 = 1;

/// The token for the page after a room.
pub fn write(last_name: &str) -> String {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(last_name.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The name that the page comes after; `None` for the first page.
pub fn read(token: &str) -> Result<Option<String>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let name = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| match bytes.split_first() {
        Some((&FORMAT, name)) => String::from_utf8(name.to_vec()).ok(),
        _ => None,
    });
    name.map(Some).ok_or_else(|| Status::invalid_argument("page_token is not one of this server's"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_ours_is_refused() {
        for token in ["x", "lobby", "AA", "Af8", "....", "AWxvYmJ5=="] {
            assert_eq!(read(token).unwrap_err().code(), tonic::Code::InvalidArgument, "{token:?}");
        }
        assert_eq!(read("").unwrap(), None);
    }

    proptest! {
        #[test]
        fn tokens_read_back(name: String) {
            prop_assert_eq!(read(&write(&name)).unwrap(), Some(name));
        }
    }
}
