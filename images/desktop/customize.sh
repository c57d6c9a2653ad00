#!/bin/sh
# customize.sh ROOT OVERLAY WHEELS: turns the installed packages into the desktop image.
# Everything is done with the image's own programs, so the machine that builds leaves no mark.
set -eu
root=$1 overlay=$2 wheels=$3
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/nonexistent "$@"; }

echo 'axon:x:7000:7000:AxonOS:/home/axon:/bin/bash' >>"$root/etc/passwd"
echo 'axon:x:7000:' >>"$root/etc/group"
echo 'axon:!:20000:0:99999:7:::' >>"$root/etc/shadow"
echo 'axon:!::' >>"$root/etc/gshadow"

# The overlay, with modes that do not depend on the umask of the checkout.
(cd "$overlay" && find . -name __pycache__ -prune -o -type f -print) | while IFS= read -r file; do
  mode=0644
  if [ -x "$overlay/$file" ]; then mode=0755; fi
  install -D -m "$mode" "$overlay/$file" "$root/$file"
done
find "$root/run" "$root/tmp" -mindepth 1 -delete
echo '. /etc/axonos/bashrc' >>"$root/etc/bash.bashrc"
install -d -m 1777 "$root/tmp/.X11-unix" "$root/tmp/.ICE-unix"
install -d -o 7000 -g 7000 -m 0700 "$root/home/axon" "$root/run/user/7000" "$root/run/desktop" "$root/run/axonos"
chmod 0755 "$root/run/user"

# JupyterLab. It sees packages that the user installs with pip; its own never change.
mkdir "$root/wheels"
cp "$wheels"/*.whl "$root/wheels/"
inside python3 -m venv --system-site-packages /opt/jupyter
inside /opt/jupyter/bin/python -m pip install --quiet --no-index --no-deps --no-compile --ignore-installed \
  --disable-pip-version-check --no-cache-dir $(cd "$root" && ls wheels/*.whl | sed 's|^|/|')
rm -r "$root/wheels"
(cd "$root/opt/jupyter" && find . -type d \( -name tests -o -name test \) -path '*/site-packages/*' -prune -exec rm -r {} +)
find "$root/opt/jupyter" -name '*.map' -delete
# Byte code checked by content, not by time: the same on every machine.
inside PYTHONHASHSEED=0 /opt/jupyter/bin/python -m compileall -q -f -j 2 --invalidation-mode unchecked-hash \
  /opt/jupyter/lib /usr/libexec/axonos

# The wallpaper, drawn from its vector source.
inside python3 -c '
import gi
gi.require_version("GdkPixbuf", "2.0")
from gi.repository import GdkPixbuf
folder = "/usr/share/backgrounds/axonos/"
GdkPixbuf.Pixbuf.new_from_file_at_scale(folder + "axonos.svg", 1920, 1200, False).savev(folder + "axonos.png", "png", ["compression"], ["6"])
'
ln -sf /usr/share/backgrounds/axonos/axonos.png "$root/usr/share/backgrounds/axonos.png"

# The theme extends Arc-Dark, whose styles GTK finds only beside the theme in use.
ln -s ../../Arc-Dark/gtk-3.0/gtk.gresource "$root/usr/share/themes/AxonOS/gtk-3.0/gtk.gresource"

# The application menu runs inside the panel: a process of its own draws its button later than the rest. It then
# opens on the side on which the panel's middle lies, so the panel is a hair shorter than the screen.
sed -i 's/^X-XFCE-Internal=false/X-XFCE-Internal=true/' "$root/usr/share/xfce4/panel/plugins/whiskermenu.desktop"

# What takes the programs of a waiting desktop to the home that comes.
inside gcc -shared -fPIC -Os -s -Wall -Wextra -Werror -Wl,--build-id=none \
  -o /usr/libexec/axonos/step-home.so /usr/libexec/axonos/step-home.c

# Menu entries that would show twice, or need what a desktop in a browser does not have.
hidden="htop vim org.xfce.mousepad-settings thunar-settings xfce4-appfinder xfce4-color-settings xfce4-file-manager
  xfce4-mail-reader xfce4-run xfce4-terminal-emulator xfce4-terminal-settings xfce4-web-browser"
mkdir -p "$root/usr/local/share/applications"
for entry in $hidden; do
  printf '[Desktop Entry]\nType=Application\nName=%s\nHidden=true\n' "$entry" \
    >"$root/usr/local/share/applications/$entry.desktop"
done

# Plain names for what the programs are.
name() { sed -i "s/^Name=.*/Name=$2/" "$root/usr/share/applications/$1.desktop"; }
name firefox-esr Firefox
name thunar Files
name xfce4-terminal Terminal
name org.xfce.mousepad 'Text Editor'
name org.xfce.ristretto 'Image Viewer'
name xarchiver Archives

# The panel's launchers, as every home gets them: the entries themselves, by their own names.
for place in 3:firefox-esr 4:axonos-jupyterlab 5:xfce4-terminal 6:thunar 11:axonos-end; do
  install -D -m 0644 "$root/usr/share/applications/${place#*:}.desktop" \
    "$root/usr/share/axonos/panel/launcher-${place%%:*}/${place#*:}.desktop"
done

inside gtk-update-icon-cache --quiet --force /usr/share/icons/hicolor
inside update-desktop-database -q /usr/share/applications
# Caches say how old the folders were that they describe, and are believed only if that is still true.
find "$root/usr/share/fonts" "$root/usr/local/share/fonts" -type d -newermt "@$SOURCE_DATE_EPOCH" \
  -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
inside SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" fc-cache --system-only --force

# What must differ between machines is made at start, or not at all.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/var/lib/dbus/machine-id" \
  "$root/var/lib/systemd/random-seed" "$root/etc/hostname" "$root/etc/resolv.conf"
ln -s /run/axonos/machine-id "$root/etc/machine-id"
mkdir -p "$root/var/lib/dbus"
ln -s /etc/machine-id "$root/var/lib/dbus/machine-id"

# What only the build needed, or tells when and where it was.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old \
  "$root"/var/cache/ldconfig/aux-cache "$root"/etc/*- "$root"/etc/apt/sources.list "$root"/etc/apt/apt.conf.d/99mmdebstrap \
  "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$root"/root/.cache "$root"/usr/share/man "$root"/usr/share/info
mkdir -p "$root/var/cache/apt/archives/partial" "$root/usr/share/man"
find "$root/var/log" -type f -delete
for suite in bookworm bookworm-updates; do echo "deb http://deb.debian.org/debian $suite main"; done >"$root/etc/apt/sources.list"
echo 'deb http://deb.debian.org/debian-security bookworm-security main' >>"$root/etc/apt/sources.list"
(cd "$overlay" && find . -name __pycache__ -prune -o -type f -print) | while IFS= read -r file; do
  touch --date="@$SOURCE_DATE_EPOCH" "$root/$file"
done
