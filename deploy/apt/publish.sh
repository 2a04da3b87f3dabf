#!/bin/sh
# publish.sh REPOSITORY KEY DEB...: puts packages into a signed apt repository, a folder that any web server can serve. KEY: a fingerprint that gpg has.
# All of it is made and signed in a folder beside what is served and takes its place last: where something fails, what is served stays as it was.
set -eu
umask 022 # a web server reads it, whatever the operator keeps for himself
[ $# -ge 3 ] || { echo "Usage: $0 REPOSITORY KEY DEB..." >&2; exit 2; }
repository=$1 key=$2
shift 2
suite=$repository/dists/stable
for deb; do dpkg-deb --fsys-tarfile "$deb" >/dev/null; done # apt-ftparchive leaves out one that was cut short, and says so to nobody
mkdir -p "$repository/pool" "$repository/dists"
exec 9>"$repository/.lock"
flock 9 # of two at once the later would put its older index over the newer
new=$(mktemp -d "$repository/.publish-XXXXXX")
end() {
  [ -e "$suite" ] || [ ! -e "$new/old" ] || mv "$new/old" "$suite"
  rm -rf "$new"
}
trap end EXIT
trap 'exit 130' HUP INT TERM
cp -al "$repository/pool" "$new/pool"
cp --remove-destination --no-preserve=mode "$@" "$new/pool/" # never into a file that is served
for architecture in arm64 amd64; do
  index=$new/dists/stable/main/binary-$architecture
  mkdir -p "$index"
  (cd "$new" && apt-ftparchive --arch "$architecture" packages pool) >"$index/Packages"
  gzip -9nk "$index/Packages"
done
# Valid-Until, in English whatever the operator speaks: whoever holds back new packages by serving an old repository is seen after so many days; publish anew before
until=$(LC_ALL=C date -u -d "+${TOCSIN_VALID_DAYS:-30} days" '+%a, %d %b %Y %H:%M:%S UTC')
# into a file, not a pipe: sh does not see what fails before the last command of one
apt-ftparchive -o APT::FTPArchive::Release::Origin=Tocsin -o APT::FTPArchive::Release::Label=Tocsin -o APT::FTPArchive::Release::Suite=stable \
  -o APT::FTPArchive::Release::Codename=stable -o APT::FTPArchive::Release::Components=main -o 'APT::FTPArchive::Release::Architectures=arm64 amd64' \
  release "$new/dists/stable" >"$new/Release"
sed -i "/^Date: /a Valid-Until: $until" "$new/Release"
gpg --batch --yes --local-user "$key" --clearsign --output "$new/dists/stable/InRelease" "$new/Release"
for deb; do mv "$new/pool/${deb##*/}" "$repository/pool/"; done
[ ! -e "$suite" ] || mv "$suite" "$new/old"
mv "$new/dists/stable" "$suite"
