//! What a ticket or the handle of a prepared statement holds: the statement, and the
//! parameters that were bound to it. So the server keeps nothing.

use arrow_flight::{
    FlightData, decode::FlightRecordBatchStream, error::FlightError, sql::server::PeekableFlightDataStream,
};
use datafusion::{
    arrow::{
        array::RecordBatch,
        ipc::{reader::StreamReader, writer::StreamWriter},
    },
    common::{DataFusionError, ParamValues, ScalarValue},
};
use futures::{StreamExt, TryStreamExt};
use prost::{Message, bytes::Bytes};
use tonic::Status;

/// Bytes that parameters may have.
const MOST_BYTES: usize = 1 << 20;

/// Told from other bytes by its first field.
#[derive(Clone, PartialEq, Message)]
struct Written {
    #[prost(string, tag = "1")]
    format: String,
    #[prost(string, tag = "2")]
    statement: String,
    #[prost(bytes = "vec", tag = "3")]
    values: Vec<u8>,
}

const FORMAT: &str = "tiphys-sql-1";

#[derive(Debug, PartialEq, Eq)]
pub struct Handle {
    pub statement: String,
    /// One row, as an Arrow stream; empty: no parameters were bound.
    pub values: Vec<u8>,
}

impl Handle {
    pub fn bytes(self) -> Bytes {
        let Self { statement, values } = self;
        Written { format: FORMAT.to_owned(), statement, values }.encode_to_vec().into()
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let written = Written::decode(bytes).ok().filter(|written| written.format == FORMAT)?;
        Some(Self { statement: written.statement, values: written.values })
    }

    /// The parameters in their order.
    ///
    /// # Errors
    /// What was bound is no row.
    pub fn values(&self) -> Result<Option<ParamValues>, DataFusionError> {
        if self.values.is_empty() {
            return Ok(None);
        }
        let row = StreamReader::try_new(&*self.values, None)?.next();
        let row = row.ok_or_else(|| DataFusionError::Plan("no row of parameters was bound".to_owned()))??;
        let values = row.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
        Ok(Some(ParamValues::from(values.collect::<Result<Vec<_>, _>>()?)))
    }

    /// Takes parameters from a client.
    ///
    /// # Errors
    /// They aren't one row.
    pub async fn bind(&mut self, sent: PeekableFlightDataStream) -> Result<(), Status> {
        let messages = sent.map_err(|status| FlightError::Tonic(Box::new(status)));
        let batches = FlightRecordBatchStream::new_from_flight_data(
            messages.map(|message: Result<FlightData, _>| message),
        );
        let batches: Vec<RecordBatch> = batches.try_collect().await.map_err(Status::from)?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let Some(row) = batches.iter().find(|batch| batch.num_rows() == 1).filter(|_| rows == 1) else {
            return Err(Status::invalid_argument(format!(
                "{rows} rows of parameters were bound; one can be"
            )));
        };
        let written = || {
            let mut writer = StreamWriter::try_new(Vec::new(), &row.schema())?;
            writer.write(row)?;
            writer.into_inner()
        };
        self.values = written()
            .map_err(|error: datafusion::arrow::error::ArrowError| Status::internal(error.to_string()))?;
        if self.values.len() > MOST_BYTES {
            return Err(Status::invalid_argument("the parameters are larger than 1 MB"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Handle;

    #[test]
    fn handles_are_told_from_other_bytes() {
        let handle = || Handle { statement: "select 1".into(), values: vec![1, 2] };
        assert_eq!(Handle::read(&handle().bytes()), Some(handle()));
        assert_eq!(Handle::read(b"select 1"), None);
        assert_eq!(Handle::read(b""), None);
    }
}
