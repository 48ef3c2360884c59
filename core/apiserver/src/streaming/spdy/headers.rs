//! Header blocks: name and value pairs, compressed by zlib with a dictionary that
//! both sides know (section 2.6.10.1). One compressor lives as long as its connection.

use bytes::{BufMut, Bytes};
use flate2::{Compress, Compression, FlushCompress, Status};

/// The dictionary begins with these words, each after its length as four bytes ...
const WORDS: &str = "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,\
accept-language,accept-ranges,age,allow,authorization,cache-control,connection,content-base,\
content-encoding,content-language,content-length,content-location,content-md5,content-range,\
content-type,date,etag,expect,expires,from,host,if-match,if-modified-since,if-none-match,if-range,\
if-unmodified-since,last-modified,location,max-forwards,pragma,proxy-authenticate,\
proxy-authorization,range,referer,retry-after,server,te,trailer,transfer-encoding,upgrade,\
user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,public,\
set-cookie,keep-alive,origin";

/// ... and ends with this text.
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417\
502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 \
Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service \
UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, \
Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,\
text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,\
utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1500);
    for word in WORDS.split(',') {
        bytes.put_u32(word.len() as u32);
        bytes.put_slice(word.as_bytes());
    }
    bytes.put_slice(TEXT.as_bytes());
    bytes
}

/// Compresses the header blocks of one connection, in order.
pub struct HeaderCompressor(Compress);

impl HeaderCompressor {
    pub fn new() -> std::io::Result<Self> {
        let mut compress = Compress::new(Compression::best(), true);
        compress.set_dictionary(&dictionary()).map_err(std::io::Error::other)?;
        Ok(Self(compress))
    }

    /// The block of these headers; names in lower case.
    pub fn block(&mut self, headers: &[(&str, &str)]) -> std::io::Result<Bytes> {
        let mut plain = Vec::new();
        plain.put_u32(headers.len() as u32);
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(text.len() as u32);
            plain.put_slice(text.as_bytes());
        }
        let mut out = Vec::with_capacity(plain.len() + 64);
        let before = self.0.total_in();
        loop {
            let done = (self.0.total_in() - before) as usize;
            let status = self.0.compress_vec(&plain[done..], &mut out, FlushCompress::Sync);
            let status = status.map_err(std::io::Error::other)?;
            // Room to spare after a flush means that all of it came out.
            if status == Status::BufError || out.len() < out.capacity() {
                return Ok(out.into());
            }
            out.reserve(out.capacity());
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use bytes::Buf;
    use flate2::{Decompress, FlushDecompress};

    /// The other side's half, for the kubelet of the tests.
    pub struct HeaderDecompressor(Decompress);

    impl HeaderDecompressor {
        pub fn new() -> Self {
            Self(Decompress::new(true))
        }

        pub fn headers(&mut self, block: &[u8]) -> Vec<(String, String)> {
            let mut plain = Vec::with_capacity(4096);
            let before = self.0.total_in();
            if let Err(error) = self.0.decompress_vec(block, &mut plain, FlushDecompress::Sync) {
                assert!(error.needs_dictionary().is_some(), "{error}");
                self.0.set_dictionary(&dictionary()).unwrap();
                let done = (self.0.total_in() - before) as usize;
                self.0.decompress_vec(&block[done..], &mut plain, FlushDecompress::Sync).unwrap();
            }
            let mut plain = Bytes::from(plain);
            let pairs = plain.get_u32();
            let mut text = || {
                let length = plain.get_u32() as usize;
                String::from_utf8(plain.split_to(length).to_vec()).unwrap()
            };
            (0..pairs).map(|_| (text(), text())).collect()
        }
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn blocks_made_by_another_zlib_are_understood() {
        let mut other = HeaderDecompressor::new();
        let first = other.headers(&unhex("78f9e3c6a7c202a62346703a2b294a4dcc851625aca9a08006000000ffff"));
        assert_eq!(first, [("streamtype".to_owned(), "error".to_owned())]);
        let second = other.headers(&unhex("c22e555c02cc2e00000000ffff"));
        assert_eq!(second, [("streamtype".to_owned(), "stdin".to_owned())]);
    }

    #[test]
    fn the_dictionary_is_the_one_of_spdy_3() {
        let block = HeaderCompressor::new().unwrap().block(&[("streamtype", "error")]).unwrap();
        // A zlib header with a dictionary, and the dictionary's Adler-32.
        assert_eq!((block[0], block[1] & 0x20), (0x78, 0x20));
        assert_eq!(&block[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
        assert_eq!(dictionary().len(), 1423);
        assert!(block.ends_with(&[0, 0, 0xff, 0xff]));
    }

    #[test]
    fn blocks_come_back_in_order() {
        let (mut there, mut back) = (HeaderCompressor::new().unwrap(), HeaderDecompressor::new());
        let long = "x".repeat(3000);
        for headers in
            [&[("streamtype", "stdout")][..], &[("a", &long), ("b", "")], &[], &[("streamtype", "resize")]]
        {
            let block = there.block(headers).unwrap();
            let found = back.headers(&block);
            let expected: Vec<_> =
                headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(found, expected);
        }
    }
}
