# bash completion for tocsin; made by: tocsin completion bash
_tocsin() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} at='' i options='' words='' files=''
  COMPREPLY=()
  # bash gives --name=value as three words
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${at:+$at }${COMP_WORDS[i]}" in
    help | help\ * | 'provision' | 'doctor' | 'meter' | 'selftest' | 'calibrate' | 'calibrate thresholds' | 'commission' | 'status' | 'outbox' | 'events' | 'events explain' | 'devices' | 'config' | 'config check' | 'config show' | 'config example' | 'model' | 'privacy' | 'privacy verify' | 'privacy manifest' | 'privacy list' | 'run' | 'listen' | 'deliver' | 'replay' | 'evaluate' | 'bench' | 'completion' | 'man' | 'field-card') at="${at:+$at }${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at:$prev" in
    ':--lang') _tocsin_words 'en fr'; return ;;
    'provision:-c' | 'provision:--config') _tocsin_paths file; return ;;
    'provision:--install') _tocsin_paths file; return ;;
    'provision:--ca') _tocsin_paths file; return ;;
    'provision:--lang') _tocsin_words 'en fr'; return ;;
    'doctor:-c' | 'doctor:--config') _tocsin_paths file; return ;;
    'doctor:--lang') _tocsin_words 'en fr'; return ;;
    'meter:-c' | 'meter:--config') _tocsin_paths file; return ;;
    'meter:--seconds') return ;;
    'meter:--lang') _tocsin_words 'en fr'; return ;;
    'selftest:-c' | 'selftest:--config') _tocsin_paths file; return ;;
    'selftest:--speaker') [[ $cur == -* ]] || return ;;
    'selftest:--seconds') return ;;
    'selftest:--lang') _tocsin_words 'en fr'; return ;;
    'calibrate:-c' | 'calibrate:--config') _tocsin_paths file; return ;;
    'calibrate:--level') _tocsin_words '94 114'; return ;;
    'calibrate:--seconds') return ;;
    'calibrate:--wait') return ;;
    'calibrate:--lang') _tocsin_words 'en fr'; return ;;
    'calibrate thresholds:-c' | 'calibrate thresholds:--config') _tocsin_paths file; return ;;
    'calibrate thresholds:--budget') return ;;
    'calibrate thresholds:--days') return ;;
    'calibrate thresholds:--lang') _tocsin_words 'en fr'; return ;;
    'commission:-c' | 'commission:--config') _tocsin_paths file; return ;;
    'commission:--out') _tocsin_paths folder; return ;;
    'commission:--speaker') [[ $cur == -* ]] || return ;;
    'commission:--seconds') return ;;
    'commission:--lang') _tocsin_words 'en fr'; return ;;
    'status:-c' | 'status:--config') _tocsin_paths file; return ;;
    'status:--lang') _tocsin_words 'en fr'; return ;;
    'outbox:-c' | 'outbox:--config') _tocsin_paths file; return ;;
    'outbox:--lang') _tocsin_words 'en fr'; return ;;
    'events:-c' | 'events:--config') _tocsin_paths file; return ;;
    'events:-n' | 'events:--limit') return ;;
    'events:--lang') _tocsin_words 'en fr'; return ;;
    'events explain:-c' | 'events explain:--config') _tocsin_paths file; return ;;
    'events explain:--lang') _tocsin_words 'en fr'; return ;;
    'devices:-c' | 'devices:--config') _tocsin_paths file; return ;;
    'devices:--lang') _tocsin_words 'en fr'; return ;;
    'config:--lang') _tocsin_words 'en fr'; return ;;
    'config check:-c' | 'config check:--config') _tocsin_paths file; return ;;
    'config check:--lang') _tocsin_words 'en fr'; return ;;
    'config show:-c' | 'config show:--config') _tocsin_paths file; return ;;
    'config show:--lang') _tocsin_words 'en fr'; return ;;
    'config example:--lang') _tocsin_words 'en fr'; return ;;
    'model:-c' | 'model:--config') _tocsin_paths file; return ;;
    'model:--lang') _tocsin_words 'en fr'; return ;;
    'privacy:--lang') _tocsin_words 'en fr'; return ;;
    'privacy verify:-c' | 'privacy verify:--config') _tocsin_paths file; return ;;
    'privacy verify:--listener-pid') return ;;
    'privacy verify:--courier-pid') return ;;
    'privacy verify:--manifest') _tocsin_paths file; return ;;
    'privacy verify:--package-list') _tocsin_paths file; return ;;
    'privacy verify:--package-digest') return ;;
    'privacy verify:--report') _tocsin_paths file; return ;;
    'privacy verify:--lang') _tocsin_words 'en fr'; return ;;
    'privacy manifest:-c' | 'privacy manifest:--config') _tocsin_paths file; return ;;
    'privacy manifest:--lang') _tocsin_words 'en fr'; return ;;
    'privacy list:--lang') _tocsin_words 'en fr'; return ;;
    'run:-c' | 'run:--config') _tocsin_paths file; return ;;
    'run:--lang') _tocsin_words 'en fr'; return ;;
    'listen:-c' | 'listen:--config') _tocsin_paths file; return ;;
    'listen:--lang') _tocsin_words 'en fr'; return ;;
    'deliver:-c' | 'deliver:--config') _tocsin_paths file; return ;;
    'deliver:--lang') _tocsin_words 'en fr'; return ;;
    'replay:-c' | 'replay:--config') _tocsin_paths file; return ;;
    'replay:--model') _tocsin_paths folder; return ;;
    'replay:--operating-point') _tocsin_words 'balanced strict'; return ;;
    'replay:--lang') _tocsin_words 'en fr'; return ;;
    'evaluate:--out') _tocsin_paths file; return ;;
    'evaluate:-c' | 'evaluate:--config') _tocsin_paths file; return ;;
    'evaluate:--model') _tocsin_paths folder; return ;;
    'evaluate:--operating-point') _tocsin_words 'balanced strict'; return ;;
    'evaluate:--lang') _tocsin_words 'en fr'; return ;;
    'bench:--seconds') return ;;
    'bench:--model') _tocsin_paths folder; return ;;
    'bench:--lang') _tocsin_words 'en fr'; return ;;
    'completion:--lang') _tocsin_words 'en fr'; return ;;
    'man:--lang') _tocsin_words 'en fr'; return ;;
    'field-card:--lang') _tocsin_words 'en fr'; return ;;
  esac
  case "$at" in
    'help') words='provision doctor meter selftest calibrate commission status outbox events devices config model privacy run listen deliver replay evaluate bench completion man field-card' ;;
    'help calibrate') words='thresholds' ;;
    'help events') words='explain' ;;
    'help config') words='check show example' ;;
    'help privacy') words='verify manifest list' ;;
    '') options='-V --version --lang -h --help' words='provision doctor meter selftest calibrate commission status outbox events devices config model privacy run listen deliver replay evaluate bench completion man field-card help' ;;
    'provision') options='-c --config --install --ca --renew --discard --json --lang -h --help' words='' ;;
    'doctor') options='-c --config --json --lang -h --help' words='' ;;
    'meter') options='-c --config --seconds --lines --json --lang -h --help' words='' ;;
    'selftest') options='-c --config --speaker --ask --one-way --seconds --json --lang -h --help' words='' ;;
    'calibrate') options='-c --config --level --seconds --wait --dry-run --measure --json --lang -h --help' words='thresholds' ;;
    'calibrate thresholds') options='-c --config --budget --days --write --json --lang -h --help' words='' ;;
    'commission') options='-c --config --out --speaker --no-microphone --seconds --one-way --json --lang -h --help' words='' ;;
    'status') options='-c --config --json --lang -h --help' words='' ;;
    'outbox') options='-c --config --json --lang -h --help' words='' ;;
    'events') options='-c --config --json -n --limit -f --follow --lang -h --help' words='explain' ;;
    'events explain') options='-c --config --json --lang -h --help' words='' files=file ;;
    'devices') options='-c --config --json --lang -h --help' words='' ;;
    'config') options='--lang -h --help' words='check show example' ;;
    'config check') options='-c --config --json --lang -h --help' words='' ;;
    'config show') options='-c --config --json --lang -h --help' words='' ;;
    'config example') options='--lang -h --help' words='' ;;
    'model') options='-c --config --json --lang -h --help' words='' files=folder ;;
    'privacy') options='--lang -h --help' words='verify manifest list' ;;
    'privacy verify') options='-c --config --listener-pid --courier-pid --manifest --package-list --package-digest --report --no-record --json --lang -h --help' words='' ;;
    'privacy manifest') options='-c --config --lang -h --help' words='' ;;
    'privacy list') options='--lang -h --help' words='' files=folder ;;
    'run') options='-c --config --lang -h --help' words='' ;;
    'listen') options='-c --config --lang -h --help' words='' ;;
    'deliver') options='-c --config --lang -h --help' words='' ;;
    'replay') options='--json -c --config --model --operating-point --lang -h --help' words='' files=file ;;
    'evaluate') options='--json --out -c --config --model --operating-point --lang -h --help' words='' files=folder ;;
    'bench') options='--seconds --model --json --lang -h --help' words='' ;;
    'completion') options='--lang -h --help' words='bash zsh fish' ;;
    'man') options='--lang -h --help' words='' ;;
    'field-card') options='--lang -h --help' words='' ;;
  esac
  if [[ $cur == -* ]]; then
    _tocsin_words "$options"
  elif [[ $files ]]; then
    _tocsin_paths "$files"
  else
    _tocsin_words "$words"
  fi
}
_tocsin_words() {
  local IFS=$' \t\n'
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}
_tocsin_paths() {
  local how=-f
  [[ $1 == folder ]] && how=-d
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$how" -- "$cur")
}
complete -F _tocsin tocsin
