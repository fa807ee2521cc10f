//! JSON of scalars and enums.

use async_graphql::ID;
use async_graphql::resolver_utils::EnumType;

use super::super::enums::{
    CardType, Difficulty, FactionKey, Karma, Locale, Orientation, PrivacyLevel, SpreadType, Suit,
    VoiceKey,
};
use super::super::id::GlobalId;
use super::super::scalars::{Date, DateTime, Url};

/// Implements `JsonValue` for scalars.
macro_rules! json_scalars {
    ($($scalar:ty: |$value:ident, $json:ident| $write:expr;)+) => {$(
        impl $crate::graphql::fast_json::object::JsonValue for $scalar {
            type Plan = ();

            fn plan<'a>(
                _: &mut $crate::graphql::fast_json::object::Planner<'a>,
                _: &$crate::graphql::fast_json::object::SelectedField<'a>,
            ) -> Option<()> {
                Some(())
            }

            fn visit(
                &self,
                (): &(),
                _: &$crate::graphql::context::RequestContext,
                visit: &mut $crate::graphql::fast_json::object::Visit<'_>,
            ) -> Option<()> {
                let Some($json) = visit.json() else { return Some(()) };
                let $value = self;
                $write;
                Some(())
            }
        }
    )+};
}

json_scalars! {
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

/// Implements `JsonValue` for GraphQL enums.
macro_rules! json_enums {
    ($($name:ty),+ $(,)?) => {
        $crate::graphql::fast_json::json_scalars! {
            $($name: |value, json| json.unescaped($crate::graphql::fast_json::enum_name(value)?);)+
        }
    };
}
pub(in crate::graphql) use {json_enums, json_scalars};

/// Name of an enum's value in the schema.
pub(in crate::graphql) fn enum_name<E: EnumType>(value: &E) -> Option<&'static str> {
    Some(E::items().iter().find(|item| item.value == *value)?.name)
}

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
