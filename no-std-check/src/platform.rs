//! What std would otherwise bring: memory, output, and what to do on a panic.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

#[link(name = "c")]
unsafe extern "C" {
    fn write(descriptor: c_int, bytes: *const c_void, count: usize) -> isize;
    fn exit(status: c_int) -> !;
}

/// Prints `text` to standard error, as far as that takes it.
pub(crate) fn print(text: &str) {
    // SAFETY: the pointer and the length are those of a live `str`, which `write` only reads.
    unsafe { write(2, text.as_ptr().cast(), text.len()) };
}

struct StandardError;

impl Write for StandardError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        print(text);
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // `print` cannot fail, and there is nobody to tell.
    let _ = writeln!(StandardError, "no-std-check: {info}");
    // SAFETY: `exit` may be called at any time by the only thread there is.
    unsafe { exit(1) }
}

// The compiler's ready-made `alloc` is built to unwind and names these two. Std would bring the first and the
// unwinder the second; nothing calls either, as a panic ends the program on the spot.

// SAFETY: nothing else of this name is linked, or the linker would say so.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    // SAFETY: as in `panic`.
    unsafe { exit(1) }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: as in `panic`.
    unsafe { exit(1) }
}

/// Bytes for the whole run: more than the scenario takes, although nothing is ever given back.
const ARENA: usize = 16 * 1024 * 1024;

/// The simplest allocator there is: it hands out one piece of memory, from its beginning to its end.
#[repr(align(16))]
struct Bump {
    arena: UnsafeCell<[u8; ARENA]>,
    used: AtomicUsize,
}

// SAFETY: `used` is only ever raised, atomically, so that every byte of `arena` is handed out at most once.
unsafe impl Sync for Bump {}

// SAFETY: `alloc` returns null or the start of `layout.size()` bytes inside `arena` that are aligned as asked
// for and belong to nobody else, now or later.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.arena.get().cast::<u8>();
        let mut start = 0;
        let claimed = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            // Aligned as an address and not as an offset: the arena itself is aligned to 16 only.
            let address = (base as usize).checked_add(used)?;
            let padding = address.checked_next_multiple_of(layout.align())? - address;
            start = used.checked_add(padding)?;
            let end = start.checked_add(layout.size())?;
            (end <= ARENA).then_some(end)
        });
        match claimed {
            // SAFETY: `start` is at most `ARENA`: inside the arena, or one past its end for an empty layout.
            Ok(_) => unsafe { base.add(start) },
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { arena: UnsafeCell::new([0; ARENA]), used: AtomicUsize::new(0) };
