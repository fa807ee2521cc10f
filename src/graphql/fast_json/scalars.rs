//! JSON of scalars and enums.

use async_graphql::ID;

use super::super::enums::{
    CardType, Difficulty, FactionKey, Karma, Locale, Orientation, PrivacyLevel, SpreadType, Suit,
    VoiceKey,
};
use super::super::id::GlobalId;
use super::super::scalars::{Date, DateTime, Url};
use super::json::JsonWriter;
use super::object::{JsonValue, Planner, SelectedField, WriteContext};

/// Implements [`JsonValue`] for scalars.
macro_rules! scalars {
    ($($scalar:ty: |$value:ident, $json:ident| $write:expr;)+) => {$(
        impl JsonValue for $scalar {
            type Plan = ();

            fn plan<'a>(_: &mut Planner<'a>, _: &SelectedField<'a>) -> Option<()> {
                Some(())
            }

            fn write(&self, (): &(), _: &WriteContext<'_>, $json: &mut JsonWriter) -> Option<()> {
                let $value = self;
                $write;
                Some(())
            }
        }
    )+};
}

scalars! {
    bool: |value, json| json.bool(*value);
    f64: |value, json| json.float(*value);
    i16: |value, json| json.displayed(value);
    i32: |value, json| json.displayed(value);
    i64: |value, json| json.displayed(value);
    u64: |value, json| json.displayed(value);
    usize: |value, json| json.displayed(value);
    str: |value, json| json.string(value);
    String: |value, json| json.string(value);
    Url: |value, json| json.string(&value.0);
    ID: |value, json| json.string(value);
    GlobalId: |value, json| json.appended(|text| value.encode_into(text));
    DateTime: |value, json| json.quoted(value);
    Date: |value, json| json.quoted(value.0);
}

/// Implements [`JsonValue`] for GraphQL enums.
macro_rules! json_enums {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::graphql::fast_json::object::JsonValue for $name {
            type Plan = ();

            fn plan<'a>(
                _: &mut $crate::graphql::fast_json::object::Planner<'a>,
                _: &$crate::graphql::fast_json::object::SelectedField<'a>,
            ) -> Option<()> {
                Some(())
            }

            fn write(
                &self,
                (): &(),
                _: &$crate::graphql::fast_json::object::WriteContext<'_>,
                json: &mut $crate::graphql::fast_json::JsonWriter,
            ) -> Option<()> {
                let items = <Self as async_graphql::resolver_utils::EnumType>::items();
                json.unescaped(items.iter().find(|item| item.value == *self)?.name);
                Some(())
            }
        }
    )+};
}
pub(in crate::graphql) use json_enums;

json_enums!(
    CardType,
    Difficulty,
    FactionKey,
    Karma,
    Locale,
    Orientation,
    PrivacyLevel,
    SpreadType,
    Suit,
    VoiceKey,
);
