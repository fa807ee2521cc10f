//! Enums with a text for each variant: the same text in the database, in files and, in upper case, in the
//! API.

/// A text that is not a variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}")]
pub struct UnknownText {
    /// Name of the enum, such as `Suit`.
    pub kind: &'static str,
    /// The unknown text.
    pub text: String,
}

/// Declares an enum with a text for each variant: `ALL`, `as_str`, `Display`, `FromStr` and serde's
/// traits. Not by strum's derives: the error of `FromStr` names the enum and the text, strum's neither;
/// `as_str` is const; and the text stands once, for serde as well.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// All variants, in their natural order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text in the database and in files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::enums::UnknownText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::domain::enums::UnknownText {
                        kind: stringify!($name),
                        text: text.to_owned(),
                    }),
                }
            }
        }
    };
}
pub(crate) use text_enum;
