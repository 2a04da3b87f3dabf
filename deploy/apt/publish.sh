#!/bin/sh
# publish.sh REPOSITORY KEY DEB...: puts packages into a signed apt repository, a folder that any web server can serve. KEY: a fingerprint that gpg has.
set -eu
[ $# -ge 3 ] || { echo "Usage: $0 REPOSITORY KEY DEB..." >&2; exit 2; }
repository=$1 key=$2
shift 2
suite=$repository/dists/stable
mkdir -p "$repository/pool"
cp "$@" "$repository/pool/"
for architecture in arm64 amd64; do
  index=$suite/main/binary-$architecture
  mkdir -p "$index"
  (cd "$repository" && apt-ftparchive --arch "$architecture" packages pool) >"$index/Packages"
  gzip -9nkf "$index/Packages"
done
rm -f "$suite/Release" "$suite/InRelease" "$suite/Release.gpg"
# Valid-Until: whoever holds back new packages by serving an old repository is seen after so many days; publish anew before
until=$(date -u -d "+${TOCSIN_VALID_DAYS:-30} days" '+%a, %d %b %Y %H:%M:%S UTC')
release=$(mktemp)
trap 'rm -f "$release"' EXIT
apt-ftparchive -o APT::FTPArchive::Release::Origin=Tocsin -o APT::FTPArchive::Release::Label=Tocsin -o APT::FTPArchive::Release::Suite=stable \
  -o APT::FTPArchive::Release::Codename=stable -o APT::FTPArchive::Release::Components=main -o 'APT::FTPArchive::Release::Architectures=arm64 amd64' \
  release "$suite" | sed "/^Date: /a Valid-Until: $until" >"$release"
gpg --batch --yes --local-user "$key" --clearsign --output "$suite/InRelease" "$release"
