//! Join tokens: what a person copies to a machine so that it may join, and so that it knows
//! which cluster it joins.
//!
//! Text form, 124 characters, one word for a double click:
//!
//! ```text
//! WFTKN_1_w_<cluster, 25>_<root digest, 52 + secret and checksum, 36 = 88>
//! ```
//!
//! `1` is the version, `w` or `m` the role. The last 8 characters are a checksum over everything
//! before them, so that a mistyped or cut-off token is called that, and not "denied".

use aws_lc_rs::digest;
use weft_proto::ClusterId;
use weft_proto::ID_LEN;
use weft_proto::Role;
use zeroize::Zeroizing;

use crate::RootDigest;
use crate::TokenSecret;
use crate::TokenVerifier;
use crate::base32;
use crate::token_secret::SECRET_BYTES;

const PREFIX: &str = "WFTKN_";
const VERSION: &str = "1";
const DIGEST_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 5;
const CHECKSUM_CHARS: usize = 8;
const BODY_CHARS: usize = (DIGEST_BYTES + SECRET_BYTES) / 5 * 8 + CHECKSUM_CHARS;
const ROLE_AT: usize = PREFIX.len() + VERSION.len() + 1;
const CLUSTER_AT: usize = ROLE_AT + 2;
const BODY_AT: usize = CLUSTER_AT + ID_LEN + 1;
const TOKEN_CHARS: usize = BODY_AT + BODY_CHARS;

/// A join token.
#[derive(Clone, Debug)]
pub struct JoinToken {
    role: Role,
    cluster: ClusterId,
    root: RootDigest,
    secret: TokenSecret,
}

/// Why a text is not a join token. Never repeats the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTokenError {
    /// Something else was pasted.
    #[error("this is not a join token: join tokens begin with {PREFIX}")]
    NotAToken,
    /// Made by a newer or older Weft.
    #[error(
        "this join token has a version that this program does not know; use the same release as the managers"
    )]
    Version,
    /// Its end is missing.
    #[error(
        "this join token is cut off: it has {have} of {TOKEN_CHARS} characters; copy all of it"
    )]
    Truncated {
        /// How many characters there are.
        have: usize,
    },
    /// Something follows it.
    #[error(
        "this join token is too long: it has {have} characters, not {TOKEN_CHARS}; copy only the token"
    )]
    TooLong {
        /// How many characters there are.
        have: usize,
    },
    /// A character that no token contains.
    #[error("this join token is mistyped: {found:?} at position {position} cannot be there")]
    BadCharacter {
        /// Counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// All characters are possible, but not together.
    #[error("this join token is mistyped: its checksum does not fit; copy it again")]
    Checksum,
}

impl JoinToken {
    /// Makes a token for joining with `role` the cluster whose root has the digest `root`.
    pub fn new(role: Role, cluster: ClusterId, root: RootDigest, secret: TokenSecret) -> Self {
        Self {
            role,
            cluster,
            root,
            secret,
        }
    }

    /// The role the token grants.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The cluster it is for.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The root that a joining node must find at the other end.
    pub fn root(&self) -> RootDigest {
        self.root
    }

    /// What proves to the cluster that the holder was invited.
    pub fn secret(&self) -> &TokenSecret {
        &self.secret
    }

    /// What the cluster is to keep.
    pub fn verifier(&self) -> TokenVerifier {
        TokenVerifier::of(self.role, &self.secret)
    }

    /// The text form. It holds the secret, so there is no `Display` to log it by accident.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(TOKEN_CHARS));
        text.push_str(PREFIX);
        text.push_str(VERSION);
        text.push('_');
        text.push(letter(self.role));
        text.push('_');
        text.push_str(self.cluster.as_str());
        text.push('_');
        let mut body = Zeroizing::new(Vec::with_capacity(DIGEST_BYTES + SECRET_BYTES));
        body.extend_from_slice(self.root.as_bytes());
        body.extend_from_slice(self.secret.as_bytes());
        base32::encode(&body, &mut text);
        let sum = checksum(&text);
        base32::encode(&sum, &mut text);
        text
    }

    /// Reads a token as a person pasted it; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, ParseTokenError> {
        let text = text.trim();
        let rest = text
            .strip_prefix(PREFIX)
            .ok_or(ParseTokenError::NotAToken)?;
        if let Some((version, _)) = rest.split_once('_')
            && version != VERSION
        {
            return Err(ParseTokenError::Version);
        }
        check_shape(text)?;
        let (head, sum) = text
            .split_at_checked(TOKEN_CHARS - CHECKSUM_CHARS)
            .ok_or(ParseTokenError::Checksum)?;
        if base32::decode(sum).as_deref() != Some(checksum(head).as_slice()) {
            return Err(ParseTokenError::Checksum);
        }
        fields(head).ok_or(ParseTokenError::Checksum)
    }
}

/// Length and alphabet, so that the error can say where to look.
fn check_shape(text: &str) -> Result<(), ParseTokenError> {
    for (index, found) in text.chars().enumerate().take(TOKEN_CHARS) {
        let fits = match u8::try_from(found) {
            Err(_) => false,
            Ok(byte) if index < PREFIX.len() => byte.is_ascii(),
            Ok(byte) if [ROLE_AT - 1, CLUSTER_AT - 1, BODY_AT - 1].contains(&index) => byte == b'_',
            Ok(byte) if index == ROLE_AT => [b'w', b'm'].contains(&byte),
            Ok(byte) if index < BODY_AT => byte.is_ascii_digit() || byte.is_ascii_lowercase(),
            Ok(byte) => base32::is_digit(byte),
        };
        if !fits {
            let position = index + 1;
            return Err(ParseTokenError::BadCharacter { position, found });
        }
    }
    match text.chars().count() {
        have if have < TOKEN_CHARS => Err(ParseTokenError::Truncated { have }),
        have if have > TOKEN_CHARS => Err(ParseTokenError::TooLong { have }),
        _ => Ok(()),
    }
}

/// The parts of a token whose checksum is right.
fn fields(head: &str) -> Option<JoinToken> {
    let role = match head.get(ROLE_AT..=ROLE_AT)? {
        "w" => Role::Worker,
        "m" => Role::Manager,
        _ => return None,
    };
    let cluster = head.get(CLUSTER_AT..BODY_AT - 1)?.parse().ok()?;
    let body = Zeroizing::new(base32::decode(head.get(BODY_AT..)?)?);
    let (root, secret) = body.split_at_checked(DIGEST_BYTES)?;
    let root = RootDigest::from_bytes(root.try_into().ok()?);
    let secret = TokenSecret::from_bytes(secret)?;
    Some(JoinToken::new(role, cluster, root, secret))
}

fn letter(role: Role) -> char {
    match role {
        Role::Worker => 'w',
        Role::Manager => 'm',
    }
}

fn checksum(head: &str) -> [u8; CHECKSUM_BYTES] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"weft join token checksum 1\0");
    context.update(head.as_bytes());
    let mut sum = [0; CHECKSUM_BYTES];
    for (to, from) in sum.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(role: Role) -> JoinToken {
        JoinToken::new(
            role,
            ClusterId::from_entropy(42),
            RootDigest::from_bytes([7; 32]),
            TokenSecret::from_bytes(&[9; SECRET_BYTES]).unwrap(),
        )
    }

    #[test]
    fn a_token_survives_a_round_trip_through_text() {
        for role in [Role::Worker, Role::Manager] {
            let text = token(role).reveal();
            assert_eq!(text.len(), TOKEN_CHARS);
            let again = JoinToken::parse(&text).unwrap();
            assert_eq!(again.role(), role);
            assert_eq!(again.cluster(), ClusterId::from_entropy(42));
            assert_eq!(again.root(), RootDigest::from_bytes([7; 32]));
            assert!(token(role).verifier().verify(again.secret()));
        }
    }

    #[test]
    fn a_token_is_one_word_for_a_double_click() {
        let text = token(Role::Worker).reveal();
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    }

    #[test]
    fn white_space_around_a_token_does_not_matter() {
        let text = format!("  {}\r\n", *token(Role::Worker).reveal());
        assert!(JoinToken::parse(&text).is_ok());
    }

    #[test]
    fn every_cut_off_token_is_called_cut_off() {
        let text = token(Role::Manager).reveal();
        for end in ROLE_AT..text.len() {
            assert_eq!(
                JoinToken::parse(&text[..end]).unwrap_err(),
                ParseTokenError::Truncated { have: end }
            );
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let text = token(Role::Worker).reveal();
        let error = |text: &str| JoinToken::parse(text).unwrap_err();
        assert_eq!(error("SWMTKN-1-abc"), ParseTokenError::NotAToken);
        assert_eq!(error(""), ParseTokenError::NotAToken);
        assert_eq!(error(&text.replace("_1_", "_2_")), ParseTokenError::Version);
        let longer = format!("{}x", *text);
        assert_eq!(
            error(&longer),
            ParseTokenError::TooLong {
                have: TOKEN_CHARS + 1
            }
        );
        let mut mistyped = text[..60].to_owned();
        mistyped.push('!');
        mistyped.push_str(&text[61..]);
        assert_eq!(
            error(&mistyped),
            ParseTokenError::BadCharacter {
                position: 61,
                found: '!'
            }
        );
        assert_eq!(
            error(&text.replace("_w_", "_m_")),
            ParseTokenError::Checksum
        );
    }

    #[test]
    fn a_token_does_not_show_its_secret_in_debug() {
        let token = token(Role::Worker);
        let shown = format!("{token:?}");
        assert!(!shown.contains("9, 9"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            prop_assert!(JoinToken::parse(&text).is_err());
        }

        #[test]
        fn no_text_after_a_good_beginning_makes_the_parser_panic(
            keep in 0..TOKEN_CHARS, rest: String
        ) {
            let text = token(Role::Worker).reveal();
            let _ = JoinToken::parse(&format!("{}{rest}", &text[..keep]));
        }

        #[test]
        fn every_token_with_one_character_changed_is_refused(
            at in 0..TOKEN_CHARS, to: char, secret: [u8; SECRET_BYTES]
        ) {
            let mut token = token(Role::Worker);
            token.secret = TokenSecret::from_bytes(&secret).unwrap();
            let text = token.reveal();
            let was = text.as_bytes()[at] as char;
            prop_assume!(was != to);
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert!(JoinToken::parse(&changed).is_err());
        }

        #[test]
        fn every_token_with_one_plausible_character_changed_is_refused(
            at in 0..TOKEN_CHARS, to in "[0-9a-z_]"
        ) {
            let text = token(Role::Manager).reveal();
            prop_assume!(text[at..=at] != to);
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert!(JoinToken::parse(&changed).is_err());
        }
    }
}
