//! Why a file of spans can't be read: by what is in it, for ever, or by what the process or the
//! disk is short of for a moment. What it must not do: take a sound file for a damaged one.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

/// What an error says of the file that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// It is not what it should be.
    Damaged,
    /// It may be sound: it can't be read now.
    Unread,
}

impl Failing {
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Self::of_io(error);
        }
        match error.source() {
            Some(cause) => Self::of(cause),
            // Of the system's errors the Parquet reader hands on but the text.
            None => of_system(&error.to_string()).map_or(Self::Damaged, |error| Self::of_io(&error)),
        }
    }

    fn of_io(error: &io::Error) -> Self {
        match (error.kind(), error.get_ref()) {
            (ErrorKind::Other, Some(cause)) => Self::of(cause),
            // It ends too early, or its numbers point to where no file has anything.
            (ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput, _) => Self::Damaged,
            _ => Self::Unread,
        }
    }
}

/// The system's error in a text, as the standard library writes it.
fn of_system(text: &str) -> Option<io::Error> {
    let (_, rest) = text.rsplit_once("(os error ")?;
    let (number, _) = rest.split_once(')')?;
    Some(io::Error::from_raw_os_error(number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use datafusion::{arrow::error::ArrowError, parquet::errors::ParquetError};

    use super::*;

    /// The numbers of "too many open files" and "invalid argument".
    const FILES: i32 = 24;
    const ARGUMENT: i32 = 22;

    #[test]
    fn only_what_is_in_a_file_damages_it() {
        let system = io::Error::from_raw_os_error;
        let early = || io::Error::from(ErrorKind::UnexpectedEof);
        let format = || ParquetError::General("no magic number".to_owned());
        let unread: [Box<dyn Error>; 5] = [
            Box::new(system(FILES)),
            Box::new(ArrowError::from(system(FILES))),
            Box::new(ParquetError::from(system(FILES))),
            Box::new(io::Error::other(ParquetError::from(system(FILES)))),
            Box::new(ArrowError::from(ParquetError::from(system(FILES)))),
        ];
        for error in unread {
            assert_eq!(Failing::of(&*error), Failing::Unread, "{error:?}");
        }
        let damaged: [Box<dyn Error>; 7] = [
            Box::new(early()),
            Box::new(io::Error::other(ParquetError::from(early()))),
            Box::new(format()),
            Box::new(io::Error::other(format())),
            Box::new(ArrowError::from(format())),
            Box::new(ArrowError::from(ParquetError::from(system(ARGUMENT)))),
            Box::new(ArrowError::SchemaError("a column of spans is no text".to_owned())),
        ];
        for error in damaged {
            assert_eq!(Failing::of(&*error), Failing::Damaged, "{error:?}");
        }
    }
}
