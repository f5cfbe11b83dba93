//! Keys and credentials. The keys are those that other implementations make of the same bytes.

use data_encoding::BASE32_NOPAD;
use nats_proto::auth::{CredentialsError, KeyPair, NKeyError, UserCredentials};
use nats_proto::auth::{encode_signature, sign_nonce};
use proptest::prelude::*;

const NONCE: &str = "PXoWU7zWAMt75FY";

/// Seed, public key, and the signature of [`NONCE`].
const USERS: [(&str, &str, &str); 3] = [
    (
        "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y",
        "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK",
        "bnxg5G8aOV2LQdSE_lcM9clxm_fbTTZxsqQ1EpTNgJXmH6z5ezesd49kXfuNhoAqw_DmEtsGcNsJdug9wMuRDQ",
    ),
    (
        "SUAP777777777777777777777777777777777777777777777777775UUA",
        "UB3KCWJAISTOJ5IREZN4U45GATMQWBJJ2HPWAK7DBIM2SJLWMDI7LRYD",
        "LVOQy4ykvDo90wexp5cvbcg4fKCp3sjDtIGBaoirT-GWYKfrmd3NoWvjUwx54P8eEDNxixdfceOWzme89dwuDQ",
    ),
    (
        "SUAAWMCVPKP4J2IOGNMH3IWH5QITMW4AUXFO6FBZL2B2RTPSC46GDBQN2I",
        "UASMHJEU7IRJSYTGIS4WLKITFWTZZ7THCUP5YQW6MAGPBEEX3OBEPN24",
        "h0BQLNWXHCZHoq-pYdG0zBaBwk2G276EXT4FL29AkzRwYUXN9wodv3_LsZPqZzzmCsoOqa5iYdSnJl8V2aL5Bw",
    ),
];

/// Seeds of the same bytes in other roles.
const OTHERS: [(&str, &str); 4] = [
    ("SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHI", "account (SA)"),
    ("SOAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H2AJA", "operator (SO)"),
    ("SNAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H2D5U", "server (SN)"),
    ("SCAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYO7Q", "cluster (SC)"),
];

const JWT: &str = "eyJ0eXAiOiJKV1QifQ.eyJqdGkiOiJjYW5hcnkifQ.c2ln-_5hdHVyZQ";

fn seed() -> &'static str {
    USERS[2].0
}

fn file(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         ************************* IMPORTANT *************************\n\
         NKEY Seed printed below can be used to sign and prove identity.\n\
         NKEYs are sensitive and should be treated as secrets.\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n\n\
         *************************************************************\n"
    )
}

fn whole(credentials: Result<UserCredentials, CredentialsError>) {
    let credentials = credentials.unwrap();
    assert_eq!(credentials.jwt(), JWT);
    assert_eq!(credentials.key_pair().public_key(), USERS[2].1);
}

#[test]
fn keys_and_signatures_are_those_of_other_implementations() {
    for (seed, public, signature) in USERS {
        let pair = KeyPair::from_seed(seed).unwrap();
        assert_eq!(pair.public_key(), public);
        assert_eq!(sign_nonce(&pair, NONCE), signature);

        let auth = pair.auth(NONCE);
        assert_eq!(auth.nkey.as_deref(), Some(public));
        assert_eq!(encode_signature(&auth.signature.unwrap()), signature);
        assert!(auth.jwt.is_none() && auth.username.is_none());
        assert!(auth.password.is_none() && auth.token.is_none());
    }
}

#[test]
fn seeds_of_other_roles_are_named_and_refused() {
    for (seed, role) in OTHERS {
        let text = KeyPair::from_seed(seed).unwrap_err().to_string();
        assert!(text.contains(role), "{text}");
    }
}

#[test]
fn what_is_no_seed_is_refused_with_the_reason() {
    let lower = seed().to_lowercase();
    let spaced = format!("{} ", &seed()[..57]);
    let umlaut = format!("{}ü", &seed()[..56]);
    let other = seed().replacen('S', "A", 1);
    let length = |len| NKeyError::WrongLength { len, expected: 58 };
    for (text, error) in [
        ("", length(0)),
        (&seed()[..57], length(57)),
        (USERS[2].1, length(56)),
        (&format!("{}A", seed()), length(59)),
        (&lower, NKeyError::BadCharacter { position: 0 }),
        (&spaced, NKeyError::BadCharacter { position: 57 }),
        (&umlaut, NKeyError::BadCharacter { position: 56 }),
        (&other, NKeyError::NotASeed),
    ] {
        assert_eq!(KeyPair::from_seed(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn a_wrong_letter_anywhere_is_noticed() {
    for position in 0..seed().len() {
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".chars() {
            let mut text = seed().to_owned();
            text.replace_range(position..=position, &letter.to_string());
            let pair = KeyPair::from_seed(&text);
            assert_eq!(pair.is_ok(), text == seed(), "{letter} after {position} letters");
            if position > 1 && text != seed() {
                assert_eq!(pair.unwrap_err(), NKeyError::WrongChecksum);
            }
        }
    }
}

#[test]
fn credentials_are_read_however_their_lines_end() {
    let file = file(JWT, seed());
    whole(UserCredentials::parse(&file));
    whole(UserCredentials::parse(&file.replace('\n', "\r\n")));
    whole(UserCredentials::parse(&file.replace('\n', "  \n\t")));
    whole(UserCredentials::parse(&file.replace('\n', "\n\n")));
    whole(UserCredentials::parse(file.trim_end_matches(['*', '\n'])));
    whole(UserCredentials::parse(&format!("\u{feff}\n{file}")));
    whole(UserCredentials::parse(&format!("\u{feff}{file}")));
    whole(UserCredentials::parse(&format!("\u{feff}{JWT}\n{}\n", seed())));
    whole(UserCredentials::parse(&format!("\u{feff}{}\n{JWT}\n", seed())));
}

#[test]
fn three_dashes_with_anything_between_them_are_enough() {
    whole(UserCredentials::parse(&format!("---A---\n{JWT}\n------\n---\n{}\n--- ---", seed())));
    whole(UserCredentials::parse(&format!("-----\n{}\n---\n-----\n{JWT}\n---\n", seed())));
}

#[test]
fn jwt_and_seed_may_be_bare_and_in_two_places() {
    let file = file(JWT, seed());
    whole(UserCredentials::from_parts(JWT, seed()));
    whole(UserCredentials::from_parts(&format!(" {JWT}\r\n"), &format!("# a key\n\t{}\n", seed())));
    whole(UserCredentials::from_parts(&file, &file));
    whole(UserCredentials::parse(&format!("{JWT}\n{}\n", seed())));
    let pair = KeyPair::from_decorated_seed(&format!("-----\n{}\n-----\n", seed())).unwrap();
    assert_eq!(pair.public_key(), USERS[2].1);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let bad = |position| CredentialsError::BadJwt { position };
    for (text, error) in [
        (file("", seed()), CredentialsError::MissingJwt),
        (seed().to_owned(), CredentialsError::MissingJwt),
        (String::new(), CredentialsError::MissingJwt),
        (file(JWT, ""), CredentialsError::MissingSeed),
        (JWT.to_owned(), CredentialsError::MissingSeed),
        (file("a.b", seed()), bad(3)),
        (file("a..b", seed()), bad(2)),
        (file("a.b.c.d", seed()), bad(5)),
        (file("a.b.c=", seed()), bad(5)),
        (file("a.b.\"c", seed()), bad(4)),
        (file("a.b.c\u{0}", seed()), bad(5)),
        (file("a.b\r.c", seed()), bad(3)),
        (file("a b.c.d", seed()), bad(1)),
        (file(JWT, OTHERS[0].0), {
            CredentialsError::BadSeed(NKeyError::NotAUser { role: "account", prefix: "SA" })
        }),
        (file(JWT, &seed()[..50]), {
            CredentialsError::BadSeed(NKeyError::WrongLength { len: 50, expected: 58 })
        }),
        ("x".repeat(1024 * 1024 + 1), {
            CredentialsError::TooLong { len: 1024 * 1024 + 1, limit: 1024 * 1024 }
        }),
    ] {
        let found = UserCredentials::parse(&text).unwrap_err();
        assert_eq!(found, error, "{text:.200}");
        let why = std::error::Error::source(&found).and_then(|why| why.downcast_ref());
        assert_eq!(why, if let CredentialsError::BadSeed(why) = &error { Some(why) } else { None });
    }
}

#[test]
fn a_seed_alone_never_passes_for_a_jwt() {
    // The first block is the JWT for other clients: they would send this seed.
    let text = format!("-----BEGIN USER NKEY SEED-----\n{}\n------END------\n", seed());
    assert_eq!(UserCredentials::parse(&text).unwrap_err(), CredentialsError::MissingJwt);
}

#[test]
fn credentials_introduce_themselves_with_jwt_and_signature() {
    let auth = UserCredentials::parse(&file(JWT, seed())).unwrap().auth(NONCE);
    assert_eq!(auth.jwt.as_deref(), Some(JWT));
    assert_eq!(encode_signature(&auth.signature.unwrap()), USERS[2].2);
    assert!(auth.nkey.is_none() && auth.username.is_none());
    assert!(auth.password.is_none() && auth.token.is_none());
}

#[test]
fn nothing_shows_a_secret() {
    let pair = KeyPair::from_seed(seed()).unwrap();
    let credentials = UserCredentials::parse(&file(JWT, seed())).unwrap();
    let mut texts = vec![
        format!("{pair:?} {pair:#?}"),
        format!("{credentials:?} {credentials:#?}"),
        format!("{:?} {:?}", pair.auth(NONCE), credentials.auth(NONCE)),
    ];
    let wrong = seed().replace('Q', "R");
    for seed in [&wrong, &seed()[..57], &seed().to_lowercase(), &format!("{}A", seed())] {
        let nkey = KeyPair::from_seed(seed).unwrap_err();
        let error = UserCredentials::parse(&file(JWT, seed)).unwrap_err();
        texts.push(format!("{nkey} {nkey:?} {error} {error:?}"));
    }
    for jwt in [format!("{JWT}=="), format!("{JWT}.x"), JWT.replace('.', "!.")] {
        let error = UserCredentials::parse(&file(&jwt, seed())).unwrap_err();
        texts.push(format!("{error} {error:?}"));
    }
    let secret = &BASE32_NOPAD.decode(seed().as_bytes()).unwrap()[2..34];
    let signature = pair.sign(NONCE.as_bytes());
    let debug = |bytes: &[u8]| format!("{:?}", &bytes[..4]).trim_matches(['[', ']']).to_owned();
    let canaries =
        [seed()[4..12].to_lowercase(), JWT[..8].to_lowercase(), JWT[30..38].to_lowercase()]
            .into_iter()
            .chain([debug(secret), debug(&signature), USERS[2].2[..8].to_lowercase()]);
    for canary in canaries {
        for text in &texts {
            assert!(!text.to_lowercase().contains(&canary), "{canary} in {text}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-A-Z2-7a.= \r\n\t\"ü]{0,200}") {
        let _ = KeyPair::from_seed(&text);
        let _ = KeyPair::from_decorated_seed(&text);
        if let Ok(credentials) = UserCredentials::from_parts(&text, seed()) {
            let safe = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
            prop_assert!(credentials.jwt().chars().all(safe));
        }
    }

    #[test]
    fn any_bytes_with_a_right_checksum_are_a_seed(secret: [u8; 32]) {
        // The checksum of everything with its checksum behind it, high byte first, is zero.
        let mut bytes = vec![0x95, 0x00];
        bytes.extend(secret);
        let crc = bytes.iter().fold(0_u32, |crc, byte| {
            (0..8).fold(crc ^ (u32::from(*byte) << 8), |crc, _| {
                let crc = crc << 1;
                if crc & 0x1_0000 == 0 { crc } else { crc ^ 0x1_1021 }
            })
        });
        bytes.extend([crc as u8, (crc >> 8) as u8]);
        let text = BASE32_NOPAD.encode(&bytes);
        prop_assert!(text.starts_with("SU"));
        let pair = KeyPair::from_seed(&text).unwrap();
        let public = pair.public_key();
        prop_assert!(public.starts_with('U') && public.len() == 56);
        prop_assert!(BASE32_NOPAD.decode(public.as_bytes()).is_ok());
    }
}
