#!/bin/sh
# publish.sh REPOSITORY KEY DEB...: puts packages into a signed apt repository, a folder that any web server can serve. KEY: a fingerprint that gpg has.
# All of it is made and signed in a folder beside what is served: where something fails, what is served stays as it was. Then InRelease comes last, in one step,
# and the indices that it names lie under their digests beside those of the one before (by-hash): what is served is whole at any moment, also for whoever reads it then.
set -eu
umask 022 # a web server reads it, whatever the operator keeps for himself
[ $# -ge 3 ] || { echo "Usage: $0 REPOSITORY KEY DEB..." >&2; exit 2; }
repository=$1 key=$2
shift 2
days=${TOCSIN_VALID_DAYS:-30}
case ${days#-} in
  '' | *[!0-9]*) # date takes a letter for a zone
    echo "Error: Expected TOCSIN_VALID_DAYS to be a whole number of days, got: $days" >&2
    echo "Try: leave it out: a repository is then valid for 30" >&2
    exit 2
    ;;
esac
suite=$repository/dists/stable
for deb; do dpkg-deb --fsys-tarfile "$deb" >/dev/null; done # apt-ftparchive leaves out one that was cut short, and says so to nobody
mkdir -p "$repository/pool" "$repository/dists"
exec 9>"$repository/.lock"
flock 9 # of two at once the later would put its older index over the newer
# apt takes a version once: a sensor that has it would keep the former package, and one that reads the index of before would get the wrong one
identity() { dpkg-deb -f "$1" Package Version Architecture; }
for deb; do
  own=$(identity "$deb")
  for other in "$repository"/pool/*.deb "$@"; do
    [ -e "$other" ] || continue # none yet
    its=$(identity "$other")
    [ "${other##*/}" = "${deb##*/}" ] || [ "$its" = "$own" ] || continue
    cmp -s "$deb" "$other" || {
      echo "Error: Expected a version that is not published yet, got another package of that name or version: ${deb##*/}" >&2
      echo "Try: build it under a higher version: npm run deb -- --version VERSION" >&2
      exit 1
    }
  done
done
rm -rf "$repository"/.publish-* # of one that was killed
new=$(mktemp -d "$repository/.publish-XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' HUP INT TERM
cp -al "$repository/pool" "$new/pool"
cp --remove-destination --no-preserve=mode "$@" "$new/pool/" # never into a file that is served
for architecture in arm64 amd64; do
  index=$new/dists/stable/main/binary-$architecture
  mkdir -p "$index"
  (cd "$new" && apt-ftparchive --arch "$architecture" packages pool) >"$index/Packages"
  gzip -9nk "$index/Packages"
  mkdir -p "$new/by-hash/$architecture"
  for file in "$index"/*; do ln "$file" "$new/by-hash/$architecture/$(sha512sum "$file" | cut -d' ' -f1)"; done
done
# apt-ftparchive tells the architecture by the end of the name, leaves out what ends otherwise, and says so to nobody
for deb; do
  cat "$new"/dists/stable/main/binary-*/Packages | grep -qxF "Filename: pool/${deb##*/}" || {
    echo "Error: Expected packages for arm64 or amd64, with the names that npm run deb gives them, got: ${deb##*/}" >&2
    echo "Try: name it tocsin_VERSION_ARCHITECTURE.deb again: dpkg-deb -f DEB Version Architecture" >&2
    exit 1
  }
done
# Valid-Until, in English whatever the operator speaks: whoever holds back new packages by serving an old repository is seen after so many days; publish anew before
until=$(LC_ALL=C date -u -d "+$days days" '+%a, %d %b %Y %H:%M:%S UTC')
# into a file, not a pipe: sh does not see what fails before the last command of one
apt-ftparchive -o APT::FTPArchive::Release::Origin=Tocsin -o APT::FTPArchive::Release::Label=Tocsin -o APT::FTPArchive::Release::Suite=stable \
  -o APT::FTPArchive::Release::Codename=stable -o APT::FTPArchive::Release::Acquire-By-Hash=yes -o APT::FTPArchive::Release::Components=main -o 'APT::FTPArchive::Release::Architectures=arm64 amd64' \
  release "$new/dists/stable" >"$new/Release"
sed -i "/^Date: /a Valid-Until: $until" "$new/Release"
gpg --batch --yes --local-user "$key" --clearsign --output "$new/dists/stable/InRelease" "$new/Release"
for deb; do [ ! -e "$new/pool/${deb##*/}" ] || mv "$new/pool/${deb##*/}" "$repository/pool/"; done # one may be named twice
for architecture in arm64 amd64; do
  mkdir -p "$suite/main/binary-$architecture/by-hash/SHA512"
  mv "$new/by-hash/$architecture"/* "$suite/main/binary-$architecture/by-hash/SHA512/"
done
[ ! -e "$suite/InRelease" ] || cp "$suite/InRelease" "$new/before"
mv "$new/dists/stable/InRelease" "$suite/InRelease"
for architecture in arm64 amd64; do
  mv "$new/dists/stable/main/binary-$architecture"/* "$suite/main/binary-$architecture/" # for whoever asks by name
  for file in "$suite/main/binary-$architecture/by-hash/SHA512"/*; do
    cat "$suite/InRelease" "$new/before" 2>/dev/null | grep -q "${file##*/}" || rm "$file"
  done
done
