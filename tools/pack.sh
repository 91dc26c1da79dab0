#!/bin/sh
# Packs programs and the libraries they load into /image, which becomes the whole image: no shell, no package manager,
# nothing setuid, no file capability. Arguments are files and directories of the build stage.
#
# For each Debian package that a file comes from, its copyright and its entry in the package database go along
# (/var/lib/dpkg/status.d, where image scanners look).
set -eu
umask 022
# `cp --parents` finds the parents of an absolute path only from here.
cd /

image=/image
mkdir -p "$image/etc" "$image/var/lib/dpkg/status.d"
mkdir -m 1777 "$image/tmp"
printf 'root:x:0:0:root:/:/nonexistent\nnobody:x:65534:65534:nobody:/:/nonexistent\n' >"$image/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$image/etc/group"

# The file and what it loads, as ldd tells it.
with_libraries() {
    echo "$1"
    ldd "$1" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// {print $3} $1 ~ /^\// {print $1}'
}

package_of() {
    # dpkg knows a library by the path before or after the merge of /lib and /usr/lib.
    dpkg -S "$1" 2>/dev/null || dpkg -S "$(readlink -f "$1")" 2>/dev/null || dpkg -S "${1#/usr}" 2>/dev/null || true
}

for path in "$@"; do
    if [ -d "$path" ]; then
        cp -R --preserve=links,timestamps --parents "$path" "$image"
        find "$path" -type f
    else
        echo "$path"
    fi
done >/tmp/files

# No pipes around the loops: the exit code of a pipe is its last command's.
while read -r file; do
    case "$file" in *.py | *.pyc) echo "$file" ;; *) with_libraries "$file" ;; esac
done </tmp/files >/tmp/loaded
sort -u /tmp/loaded >/tmp/all

while read -r file; do
    # Links are followed: every name that something is loaded by becomes a file of that name.
    [ -e "$image$file" ] || cp -L --preserve=mode,timestamps --parents "$file" "$image"
    case "$file" in *.py | *.pyc) ;; *) package_of "$file" ;; esac
done </tmp/all >/tmp/owners
cut -d: -f1 /tmp/owners | sort -u >/tmp/packages

while read -r package; do
    dpkg-query -s "$package" >"$image/var/lib/dpkg/status.d/$package"
    [ ! -e "/usr/share/doc/$package/copyright" ] || cp -L --parents "/usr/share/doc/$package/copyright" "$image"
done </tmp/packages

find "$image" -xdev ! -type l -perm /6000 -exec chmod a-s {} +
rm -f /tmp/files /tmp/loaded /tmp/all /tmp/owners /tmp/packages
