#!/usr/bin/env bash
# Tests AVX-512 and AVX512-FP16 where no CPU has them: Bochs emulates a Sapphire Rapids, which starts a Linux whose only
# program is the test binary. Half an hour; times mean nothing there.
#   BOCHS=FOLDER tests/emulate.sh [TEST...]     tests as cargo test names them; unless told, the suites of the kernels
#
# FOLDER is where Bochs was built from its sources (github.com/bochs-emu/Bochs, folder bochs; of 2026, older ones lack the FP16):
#   ./configure --enable-cpu-level=6 --enable-x86-64 --enable-avx --enable-evex --enable-pci --with-nogui && make
# The rest is Debian's: kernel, boot loader and tools are downloaded as packages and unpacked in target/emulator, not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD bochs=${BOCHS:?the folder in which Bochs was built} dir=$PWD/target/emulator
tests=("$@")
[ $# -gt 0 ] || tests=(isa::avx512:: isa::avx512fp16 isa::avx512_halves)

mkdir -p "$dir/packages" "$dir/disc/isolinux"
kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
for package in "$kernel" isolinux syslinux-common genisoimage cpio busybox-static; do
    compgen -G "$dir/packages/${package}_*.deb" >/dev/null || (cd "$dir/packages" && apt-get download "$package")
    dpkg-deb -x "$dir/packages/${package}"_*.deb "$dir/debian"
done

# The first program: the tests, on the serial line, and a word when they are over.
rm -rf "$dir/system"
mkdir -p "$dir/system"/{bin,dev,proc,tmp} "$dir/system$root/tests"
cp "$dir/debian/bin/busybox" "$dir/system/bin/"
cp -r tests/fixtures "$dir/system$root/tests/"
engine=$(cargo test --test engine --no-run 2>&1 | grep -o 'target/debug/deps/engine-[0-9a-f]*')
strip -o "$dir/system/engine" "$engine"
for library in $(ldd "$engine" | grep -o '/[^ ]*'); do
    install -D "$library" "$dir/system$library"
done
cat >"$dir/system/init" <<END
#!/bin/busybox sh
b=/bin/busybox
\$b mount -t devtmpfs none /dev; \$b mount -t proc none /proc; \$b mount -t tmpfs none /tmp
exec >/dev/ttyS0 2>&1 </dev/null
cd $root
\$b grep -m 1 'model name' /proc/cpuinfo
export TRM_REQUIRE_ISA=avx512,avx512fp16
/engine --test-threads=1 ${tests[*]}
echo "the tests ended with \$?"
\$b sleep 1000000
END
chmod +x "$dir/system/init"
(cd "$dir/system" && find . | "$dir/debian/bin/cpio" -o -H newc 2>/dev/null) | gzip -1 >"$dir/disc/initrd"

# Bochs switches fast string operations off, and this kernel then trips over the short ones (fsrm, 580).
cp "$dir/debian/usr/lib/ISOLINUX/isolinux.bin" "$dir/debian/usr/lib/syslinux/modules/bios/ldlinux.c32" "$dir/disc/isolinux/"
cp "$dir/debian/boot"/vmlinuz-* "$dir/disc/vmlinuz"
cat >"$dir/disc/isolinux/isolinux.cfg" <<END
default tests
label tests
  kernel /vmlinuz
  initrd /initrd
  append console=ttyS0 quiet mitigations=off random.trust_cpu=on clearcpuid=580
END
(cd "$dir" && debian/usr/bin/genisoimage -quiet -o disc.iso -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
    -boot-load-size 4 -boot-info-table disc)
cat >"$dir/bochsrc" <<END
megs: 1024
cpu: model=sapphire_rapids, ips=100000000, ignore_bad_msrs=1
romimage: file=$bochs/bios/BIOS-bochs-latest
vgaromimage: file=$bochs/bios/VGABIOS-lgpl/VGABIOS-lgpl-latest.bin
ata0-master: type=cdrom, path=$dir/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$dir/serial.txt
display_library: nogui
log: $dir/bochs.log
panic: action=fatal
END

rm -f "$dir/serial.txt"
"$bochs/bochs" -q -f "$dir/bochsrc" >"$dir/bochs.out" 2>&1 </dev/null &
emulator=$!
trap 'kill $emulator 2>/dev/null' EXIT
shown=0
until grep -q '^the tests ended' "$dir/serial.txt" 2>/dev/null; do
    kill -0 $emulator 2>/dev/null || { tail -n 5 "$dir/bochs.out" "$dir/bochs.log"; exit 1; }
    sleep 5
    lines=$(wc -l 2>/dev/null <"$dir/serial.txt" || echo 0)
    [ "$lines" = "$shown" ] || sed -n "$((shown + 1)),${lines}p" "$dir/serial.txt"
    shown=$lines
done
grep -q '^the tests ended with 0' "$dir/serial.txt"
