//! The process that holds a Pod's namespaces: it waits for ever.
//!
//! It is the whole content of the pause image. Without a standard library and
//! without libc it takes a few pages of memory a Pod; the big binary in its
//! place would take megabytes. As process 1 of a shared process namespace it must
//! not leave zombies: with `SIGCHLD` ignored the kernel reaps for it.
//!
//! Built by `build.rs`, embedded by `image::own`.

#![no_std]
#![no_main]

use core::arch::{asm, naked_asm};

/// `struct sigaction` of the kernel's `rt_sigaction`.
#[repr(C)]
struct SigAction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

const SIG_IGN: usize = 1;
const SIGCHLD: usize = 17;

#[cfg(target_arch = "x86_64")]
const RT_SIGACTION: usize = 13;
#[cfg(target_arch = "aarch64")]
const RT_SIGACTION: usize = 134;
#[cfg(target_arch = "x86_64")]
const PPOLL: usize = 271;
#[cfg(target_arch = "aarch64")]
const PPOLL: usize = 73;

/// The stack is not aligned as a function expects it: align, then go on in Rust.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("and rsp, -16", "call {run}", run = sym run);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("bl {run}", run = sym run);
}

extern "C" fn run() -> ! {
    let ignore = SigAction { handler: SIG_IGN, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: the kernel reads the structure, and writes no old one to address 0.
    unsafe { syscall(RT_SIGACTION, SIGCHLD, &raw const ignore as usize, 0, 8) };
    loop {
        // SAFETY: waits for nothing on no descriptor without a limit; touches no memory.
        unsafe { syscall(PPOLL, 0, 0, 0, 0) };
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c,
             in("r10") d, in("r8") 0, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: the caller's.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c,
             in("x3") d, in("x4") 0, options(nostack));
    }
    result
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
