// French for what a key of a configuration, a manifest, a scene or an event should have been; a part of errors.ts.
export const keyErrors: Record<string, string> = {
  'expected JSON': 'attendu du JSON',
  'expected text in UTF-8': 'attendu un texte en UTF-8',
  'expected text of the form {1}': 'attendu un texte de la forme {1}',
  'expected text': 'attendu un texte',
  'expected text, between quotes': 'attendu un texte, entre guillemets',
  'expected some text': 'attendu un texte non vide',
  'expected text of one line, without control characters or blanks at its ends':
    'attendu un texte d’une ligne, sans caractère de contrôle, sans espace au début ni à la fin',
  'expected a number': 'attendu un nombre',
  'expected a whole number': 'attendu un nombre entier',
  'expected true or false': 'attendu true ou false',
  'expected a group of keys': 'attendu un groupe de clés',
  'expected a list': 'attendu une liste',
  'expected no less than the onset': 'attendu pas moins que « onset »',
  'expected more than {1}': 'attendu plus que {1}',
  'expected times with a decimal point, not a comma': 'attendu des temps avec un point décimal, non une virgule',
  'expected onset, offset and label, with a tab between them': 'attendu début, fin et étiquette, séparés par des tabulations',
  'expected one of {1}, or what else is heard': 'attendu l’une des valeurs {1}, ou ce qu’on entend d’autre',
  'expected no more than the seconds of its scene': 'attendu pas plus que « seconds » de sa scène',
  'expected each event once': 'attendu chaque événement une seule fois',
  'expected each file once': 'attendu chaque fichier une seule fois',
  'expected at least {1}': 'attendu au moins {1}',
  'expected at most {1}': 'attendu au plus {1}',
  'expected at most {1} characters': 'attendu au plus {1} caractères',
  'expected its name to be {1}': 'attendu comme nom {1}',
  'expected no such key': 'cette clé n’existe pas',
  'expected 1 to 32 of a-z, 0-9 and "-", starting with a letter or digit': 'attendu 1 à 32 caractères parmi a-z, 0-9 et « - », lettre ou chiffre d’abord',
  'expected the name of a file in /etc/tocsin/credentials (letters and digits, no folder), or an absolute path to another folder; the secret itself goes into that file':
    'attendu le nom d’un fichier de /etc/tocsin/credentials (lettres et chiffres, sans dossier), ou un chemin absolu vers un autre dossier ; le secret lui-même va dans ce fichier',
  'expected a name that survives a reboot, as `tocsin devices` lists, not a card number':
    'attendu un nom qui survit au redémarrage, comme en donne `tocsin devices`, pas un numéro de carte',
  'expected the name of a microphone, as `tocsin devices` lists, and no plug-in of ALSA that records (tee, file)':
    'attendu le nom d’un microphone, comme en donne `tocsin devices`, et aucun greffon d’ALSA qui enregistre (tee, file)',
  'expected mqtt://, mqtts://, ws:// or wss:// and a host, without a user name':
    'attendu mqtt://, mqtts://, ws:// ou wss:// et un hôte, sans nom d’utilisateur',
  'expected a path of at most 480 bytes, counted from / on: SQLite opens no longer one':
    'attendu un chemin d’au plus 480 octets, compté depuis / : SQLite n’en ouvre pas de plus long',
  'expected a valid host and port': 'attendu un hôte et un port valides',
  'expected the path of an audio file for the adapter "file"': 'attendu le chemin d’un fichier audio pour l’adaptateur « file »',
  'expected certFile and keyFile together': 'attendu certFile et keyFile ensemble',
  'expected mqtts:// or wss://, because the broker is not on this machine (mqtt.allowPlaintext: true lets anyone in between read and forge events)':
    'attendu mqtts:// ou wss://, car le broker n’est pas sur cette machine (avec mqtt.allowPlaintext: true, n’importe qui sur le trajet peut lire et falsifier les événements)',
  'expected mqtts:// or wss:// together with certFile': 'attendu mqtts:// ou wss:// avec certFile',
  'expected a user name together with passwordFile': 'attendu un nom d’utilisateur avec passwordFile',
  'expected one of {1}': 'attendu l’une des valeurs {1}',
};
