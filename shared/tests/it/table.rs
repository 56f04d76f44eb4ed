//! A table is checked before anything is written to it, and a wrong one is described in one sentence.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, GlobalSecondaryIndexDescription, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableDescription,
};
use shared::table::{self, KeyAttribute, Mismatch};

fn schema(key: &[KeyAttribute]) -> Vec<KeySchemaElement> {
    key.iter()
        .map(|(name, _, role)| {
            KeySchemaElement::builder().attribute_name(*name).key_type(role.clone()).build().unwrap()
        })
        .collect()
}

fn describe(key: &[KeyAttribute], index: Option<(&[KeyAttribute], ProjectionType)>) -> TableDescription {
    let mut definitions: Vec<KeyAttribute> = key.to_vec();
    definitions.extend(index.iter().flat_map(|(key, _)| key.iter().cloned()));
    let index = index.map(|(key, projection)| {
        GlobalSecondaryIndexDescription::builder()
            .index_name(table::INDEX)
            .set_key_schema(Some(schema(key)))
            .projection(Projection::builder().projection_type(projection).build())
            .build()
    });
    TableDescription::builder()
        .table_name("t")
        .set_attribute_definitions(Some(
            definitions
                .into_iter()
                .map(|(name, kind, _)| {
                    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
                })
                .collect(),
        ))
        .set_key_schema(Some(schema(key)))
        .set_global_secondary_indexes(index.map(|index| vec![index]))
        .build()
}

#[test]
fn the_right_table_passes() {
    let right = describe(&table::primary_key(), Some((&table::index_key(), ProjectionType::All)));
    assert_eq!(table::check(&right), Ok(()));
}

#[test]
fn a_wrong_table_is_named_with_what_was_expected_and_found() {
    let error = table::check(&describe(&table::primary_key(), None)).unwrap_err().to_string();
    assert!(error.contains("has no index `channel-nmicrotimestamp-index` (it has none)"), "{error}");

    let old = [(table::ID, ScalarAttributeType::S, KeyType::Hash)];
    let error = table::check(&describe(&old, None)).unwrap_err().to_string();
    assert!(error.contains("id (S, HASH); expected id (N, HASH) + microtimestamp (S, RANGE)"), "{error}");

    let string_time = [table::index_key()[0].clone(), (table::MICROTIMESTAMP, ScalarAttributeType::S, KeyType::Range)];
    let wrong = describe(&table::primary_key(), Some((&string_time, ProjectionType::All)));
    assert!(matches!(table::check(&wrong), Err(Mismatch::IndexKey { .. })));

    let narrow = describe(&table::primary_key(), Some((&table::index_key(), ProjectionType::KeysOnly)));
    assert!(matches!(table::check(&narrow), Err(Mismatch::Projection { .. })));
}
