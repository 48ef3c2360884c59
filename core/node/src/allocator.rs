//! The allocator of the binary, and how it is set.
//!
//! Requests are thousands of small pieces on many threads: a quarter of a write went into the C library's
//! allocator. mimalloc is as fast and kept an eighth more of a hundred thousand Pods. As jemalloc comes, it
//! has four arenas a core, each with pages of its own that nobody uses, and keeps these for ten seconds: a
//! server that takes series in had a sixth of its memory so. One arena a core serves as many threads as run
//! at once, and 300 ms are long enough for what the next request uses again: a second was no faster, and that
//! nothing is kept costs a sixth of the speed. What is not kept is given back at once (`muzzy_decay_ms`, which
//! is so by itself since jemalloc 5.2), not only when the kernel lacks memory. `_RJEM_MALLOC_CONF` in the
//! environment counts for more than what stands here.
//!
//! Benchmarks have this file, too, so that memory is what it is here. What it must not do: depend on
//! anything of this crate.
//!
//! Source: jemalloc(3), TUNING.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc reads before anything of this program runs: a pointer to text that ends with a zero.
// SAFETY: it is the name that jemalloc looks for, which has no value elsewhere, and a reference to an array
// is one pointer.
#[unsafe(export_name = "_rjem_malloc_conf")]
static OPTIONS: &[u8; 52] = b"narenas_ratio:1,dirty_decay_ms:300,muzzy_decay_ms:0\0";

#[cfg(test)]
mod tests {
    // All of it stands in the test: benchmarks have this module without it.
    #[test]
    fn it_is_set_as_it_stands_here() {
        use std::ffi::{CStr, c_char, c_int, c_void};

        unsafe extern "C" {
            fn _rjem_mallctl(
                name: *const c_char,
                old: *mut c_void,
                old_length: *mut usize,
                new: *mut c_void,
                new_length: usize,
            ) -> c_int;
        }

        let text = CStr::from_bytes_with_nul(super::OPTIONS).expect("one zero, at the end");
        assert!(text.to_str().expect("text").split(',').all(|option| option.split(':').count() == 2));
        // Whoever runs the tests may have set it otherwise.
        if std::env::var_os("_RJEM_MALLOC_CONF").is_some() {
            return;
        }
        for (name, expected) in [(c"opt.dirty_decay_ms", 300), (c"opt.muzzy_decay_ms", 0)] {
            let (mut decay, mut length) = (-1isize, size_of::<isize>());
            // SAFETY: the option is a signed size, for which there is room.
            let failed = unsafe {
                _rjem_mallctl(
                    name.as_ptr(),
                    (&raw mut decay).cast(),
                    &raw mut length,
                    std::ptr::null_mut(),
                    0,
                )
            };
            assert_eq!((failed, decay), (0, expected), "{name:?}");
        }
    }
}
