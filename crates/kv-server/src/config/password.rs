//! The password: what is kept of it, and how another one is compared with that.
//!
//! Kept is a digest, SHA-256 over a random salt and the password, in the
//! configuration as in memory. Written out it is `sha256:SALT:DIGEST`, both in
//! hexadecimal; such a text is taken for a digest wherever a password may stand.
//!
//! Why no slow hash such as argon2: `AUTH` is answered by the threads that serve
//! everybody, and anybody may send it. What makes one guess at a stolen file
//! dear, tens of milliseconds and as many MiB, would let a handful of strangers
//! hold up all clients. Guesses over the wire are slowed by a delay that costs
//! nothing; against a stolen digest only a long random password helps.

use std::fmt::{self, Write};

use kv_env::{Entropy, SystemEntropy};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a digest starts with where a password may stand too.
const PREFIX: &str = "sha256:";

const SALT_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;

/// The longest password, in bytes. More could not be sent: before `AUTH` an
/// argument may have 16 KiB.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1024;

/// What clients must know, or nothing if they need to know nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password {
    salted: Option<SaltedDigest>,
}

#[derive(Clone, PartialEq, Eq)]
struct SaltedDigest {
    salt: [u8; SALT_BYTES],
    digest: [u8; DIGEST_BYTES],
}

impl Password {
    /// Keeps a digest of `plain` under a new salt; of an empty text nothing.
    pub fn from_plain(plain: &str) -> Password {
        if plain.is_empty() {
            return Password::default();
        }
        let salt = SystemEntropy.random_id();
        let digest = digest(&salt, plain.as_bytes());
        Password { salted: Some(SaltedDigest { salt, digest }) }
    }

    /// The password that is the one line of `text`; `None` if there are none or
    /// several, and if it is too long.
    pub fn from_plain_line(text: &str) -> Option<Password> {
        let line = only_line(text).filter(|line| line.len() <= MAX_PASSWORD_BYTES)?;
        Some(Password::from_plain(line))
    }

    /// True for a password as it is, false for a digest and for none.
    pub(super) fn is_plain(text: &str) -> bool {
        !text.is_empty() && !text.starts_with(PREFIX)
    }

    /// A password or a digest, as the configuration may hold either; `None` for
    /// a damaged digest and for a password that is too long.
    pub(crate) fn parse(text: &str) -> Option<Password> {
        match text.strip_prefix(PREFIX) {
            Some(rest) => {
                let (salt, digest) = rest.split_once(':')?;
                let salted = SaltedDigest { salt: bytes_of(salt)?, digest: bytes_of(digest)? };
                Some(Password { salted: Some(salted) })
            }
            None => (text.len() <= MAX_PASSWORD_BYTES).then(|| Password::from_plain(text)),
        }
    }

    /// What the configuration may hold, for people.
    pub(crate) fn allowed() -> String {
        format!(
            "a text of at most {MAX_PASSWORD_BYTES} bytes, or its digest as kv-server \
             --hash-password prints it"
        )
    }

    /// True if clients must send one.
    pub fn is_set(&self) -> bool {
        self.salted.is_some()
    }

    /// Whether `given` is the password. How long that takes depends on the
    /// length of `given` alone: digests are compared to their end, and tell
    /// nothing about how much of a guess is right.
    pub fn is(&self, given: &[u8]) -> bool {
        let Some(SaltedDigest { salt, digest: kept }) = &self.salted else { return false };
        digest(salt, given).ct_eq(kept).into()
    }

    /// The digest as the configuration takes it; empty without a password.
    pub fn to_digest_text(&self) -> String {
        let Some(SaltedDigest { salt, digest }) = &self.salted else { return String::new() };
        format!("{PREFIX}{}:{}", hexadecimal(salt), hexadecimal(digest))
    }
}

impl From<&str> for Password {
    fn from(plain: &str) -> Password {
        Password::from_plain(plain)
    }
}

/// Shows that there is one, and nothing of it.
impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_set() { "(hidden)" } else { "(none)" })
    }
}

/// The one line of `text`, without its end.
pub(super) fn only_line(text: &str) -> Option<&str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    (!line.is_empty() && !line.contains(['\n', '\r'])).then_some(line)
}

fn digest(salt: &[u8; SALT_BYTES], password: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha256::new().chain_update(salt).chain_update(password).finalize().into()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// Exactly `N` bytes written as hexadecimal digits.
fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|value| value as u8))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 2 * N).then(|| bytes.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_right_only_as_a_whole() {
        let secret = Password::from_plain("secret");
        assert!(secret.is(b"secret"));
        for wrong in [&b""[..], b"s", b"secre", b"secret\0", b"secret1", b"Secret", b"secrez"] {
            assert!(!secret.is(wrong), "{wrong:?}");
        }
        let none = Password::from_plain("");
        assert!(!none.is_set() && !none.is(b"") && none.to_digest_text().is_empty());
    }

    #[test]
    fn a_line_is_a_password_with_or_without_its_end() {
        for text in ["secret", "secret\n", "secret\r\n"] {
            assert!(Password::from_plain_line(text).expect("one line").is(b"secret"), "{text:?}");
        }
        for text in ["", "\n", "a\nb", "a\n\n", &"x".repeat(MAX_PASSWORD_BYTES + 1)] {
            assert_eq!(Password::from_plain_line(text), None, "{text:?}");
        }
    }

    /// The digest is what any other tool computes from salt and password.
    #[test]
    fn a_digest_stands_for_its_password() {
        let text = "sha256:000102030405060708090a0b0c0d0e0f:\
                    67557c0d86179c45199f096d85b7aeb2b8b34bf423c403ba517f72bcc5913c4c";
        let parsed = Password::parse(text).expect("it is a digest");
        assert!(parsed.is(b"secret") && !parsed.is(text.as_bytes()));
        assert_eq!(parsed.to_digest_text(), text);
    }

    #[test]
    fn equal_passwords_have_digests_of_their_own() {
        let [first, second] = ["secret"; 2].map(Password::from_plain);
        assert_ne!(first.to_digest_text(), second.to_digest_text());
        for password in [first, second] {
            let shown = format!("{password:?}");
            assert_eq!(shown, "(hidden)");
            assert_eq!(Password::parse(&password.to_digest_text()), Some(password));
        }
    }

    #[test]
    fn damaged_digests_and_endless_passwords_are_refused() {
        let whole = Password::from_plain("secret").to_digest_text();
        let (but_the_last, _) = whole.split_at(whole.len() - 1);
        let cases = [
            "sha256:".to_owned(),
            "sha256::".to_owned(),
            but_the_last.to_owned(),
            format!("{but_the_last}g"),
            format!("{whole}0"),
            format!("{whole}:"),
            "x".repeat(MAX_PASSWORD_BYTES + 1),
        ];
        for text in cases {
            assert_eq!(Password::parse(&text), None, "{text}");
        }
        assert!(Password::parse(&"x".repeat(MAX_PASSWORD_BYTES)).is_some());
    }
}
