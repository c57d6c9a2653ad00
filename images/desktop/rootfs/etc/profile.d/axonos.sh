# A login to a shell session: what it is, how long it lasts, and what a desktop's terminal would read too.
if [ "${AXONOS_KIND:-}" = ssh ] && [ -n "${BASH_VERSION:-}" ] && [ -n "${PS1:-}" ]; then
  . /etc/axonos/time-left.sh
  printf 'AxonOS: %s GPU(s), billed until you end the session on the page; logging out does not end it.\n' "${AXONOS_GPUS:-?}"
  if [ -n "$(axonos_left)" ]; then printf 'Time left: %s. ' "$(axonos_left)"; fi
  printf 'JupyterLab: axonos-jupyter\n'
  if [ -r /run/axonos/notice ]; then printf 'Last notice: %s\n' "$(cat /run/axonos/notice)"; fi
  if [ -r ~/.bashrc ] && [ ! -e ~/.bash_profile ] && [ ! -e ~/.bash_login ] && [ ! -e ~/.profile ]; then . ~/.bashrc; fi
fi
