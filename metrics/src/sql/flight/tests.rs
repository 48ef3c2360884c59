//! The questions of drivers about what there is not, asked of the service itself.

use std::sync::Arc;

use arrow_flight::decode::FlightRecordBatchStream;

use super::*;
use crate::sql::tests::{ByName, World};

fn of_admin<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(UserInfo::named("admin", &[]));
    request
}

/// The columns that a command is promised, those that its answer has, and how many rows.
async fn asked(service: &Service, command: impl ProstMessageExt) -> (Schema, SchemaRef, usize) {
    let command = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let info = service.get_flight_info(of_admin(command)).await.expect("a way").into_inner();
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let promised = info.try_decode_schema().expect("columns");
    let answer = service.do_get(of_admin(ticket)).await.expect("an answer").into_inner();
    let messages = answer.map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch.expect("a batch").num_rows();
    }
    (promised, batches.schema().expect("columns").clone(), rows)
}

#[tokio::test]
async fn keys_and_types_there_are_none_have_their_columns() {
    let world = World::new();
    let service = Service { engine: world.engine.clone(), authorizer: Arc::new(ByName) };
    let of_a_table = CommandGetPrimaryKeys { table: "pod".to_owned(), ..Default::default() };
    let of_both = CommandGetCrossReference {
        pk_table: "pod".to_owned(),
        fk_table: "node".to_owned(),
        ..Default::default()
    };
    let answers = [
        (asked(&service, of_a_table).await, "key_sequence", 6),
        (asked(&service, CommandGetExportedKeys::default()).await, "fk_column_name", 13),
        (asked(&service, CommandGetImportedKeys::default()).await, "pk_column_name", 13),
        (asked(&service, of_both).await, "update_rule", 13),
        (asked(&service, CommandGetXdbcTypeInfo { data_type: None }).await, "interval_precision", 19),
        (asked(&service, CommandGetXdbcTypeInfo { data_type: Some(4) }).await, "type_name", 19),
    ];
    for ((promised, given, rows), column, columns) in answers {
        assert_eq!(promised, *given, "what was promised is given");
        assert!(given.field_with_name(column).is_ok() && given.fields().len() == columns, "{given:?}");
        assert_eq!(rows, 0, "{column}");
    }
    let anonymous = Request::new(Ticket::new(CommandGetExportedKeys::default().as_any().encode_to_vec()));
    assert!(service.do_get(anonymous).await.is_err(), "who asks has signed in");
    world.end().await;
}

#[tokio::test]
async fn what_jdbc_reads_of_the_server_is_there() {
    let world = World::new();
    let service = Service { engine: world.engine.clone(), authorizer: Arc::new(ByName) };
    let read = [SqlInfo::SqlIdentifierQuoteChar, SqlInfo::SqlDdlTable, SqlInfo::SqlNullOrdering];
    let command = CommandGetSqlInfo { info: read.map(|info| info as u32).to_vec() };
    let (_, _, rows) = asked(&service, command).await;
    assert_eq!(rows, read.len());
    world.end().await;
}
