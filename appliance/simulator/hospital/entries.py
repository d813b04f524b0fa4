"""Who is expected today: the simulated hospital's schedule as a table to read and to add to.

Nobody here exists. The names cover the scripts of PS3.5 Annexes H to K; several entries are sparse on purpose, since
real worklists are. `number` makes the identifiers of an entry (accession number, study, step), so two entries never
share one; the second step of a requested procedure names the first one's number by `step_of`. A station AE title of ""
is the box's own, whatever it is called.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8); the scheme is the hospital's own."""

    value: str
    meaning: str
    scheme: str = "99HOSPITAL"


@dataclass(frozen=True, slots=True)
class ScheduledEntry:
    """One scheduled procedure step of the day. Empty text means that the hospital does not know."""

    number: int
    time: str  # HHMM
    modality: str
    character_set: tuple[str, ...]  # (0008,0005), value by value; () is plain ASCII
    name: str
    patient_id: str
    birth_date: str = ""
    sex: str = ""
    weight_kg: str = ""
    allergies: str = ""
    alerts: str = ""
    pregnancy: int | None = None  # (0010,21C0): 1 no, 2 possibly, 3 yes, 4 unknown
    procedure: str = ""
    procedure_code: Code | None = None
    step: str = ""
    protocol_code: Code | None = None
    referring: str = ""
    requesting: str = ""
    performing: str = ""
    reason: str = ""
    priority: str = "ROUTINE"
    admission: str = ""
    ward: str = ""
    station_ae: str = ""
    station_name: str = ""
    room: str = ""
    step_of: int | None = None


LATIN1 = ("ISO_IR 100",)
LATIN2 = ("ISO_IR 101",)
CYRILLIC = ("ISO_IR 144",)
ARABIC = ("ISO_IR 127",)
GREEK = ("ISO_IR 126",)
HEBREW = ("ISO_IR 138",)
TURKISH = ("ISO_IR 148",)
JAPANESE = ("", "ISO 2022 IR 87")
KOREAN = ("", "ISO 2022 IR 149")
CHINESE = ("GB18030",)
UTF8 = ("ISO_IR 192",)

SCHEDULE: tuple[ScheduledEntry, ...] = (
    ScheduledEntry(
        number=1,
        time="0730",
        modality="US",
        character_set=LATIN1,
        name="Müller^Jürgen^Søren^Dr.",
        patient_id="HS-100234",
        birth_date="19580314",
        sex="M",
        weight_kg="84.5",
        allergies="Penicillin",
        alerts="Herzschrittmacher",
        procedure="Sonographie Abdomen",
        procedure_code=Code("US-ABD", "Ultrasound of abdomen"),
        step="Abdomen, Übersicht",
        protocol_code=Code("P-US-ABD-1", "Abdomen overview"),
        referring="Weiß^Käthe^^Dr.",
        requesting="Weiß^Käthe^^Dr.",
        performing="Größe^Anja^^Dr.",
        reason="Oberbauchschmerz",
        admission="ADM-4711",
        ward="Station 3 Süd",
        station_name="US_OLD_1",
        room="Raum 12",
    ),
    ScheduledEntry(
        number=2,
        time="0800",
        modality="US",
        character_set=JAPANESE,
        name="Yamada^Tarou=山田^太郎=やまだ^たろう",
        patient_id="HS-100871",
        birth_date="19711102",
        sex="M",
        weight_kg="66",
        procedure="腹部超音波検査",
        procedure_code=Code("US-ABD", "Ultrasound of abdomen"),
        step="肝臓・胆嚢",
        protocol_code=Code("P-US-LIV", "Liver and gallbladder"),
        referring="Suzuki^Hanako=鈴木^花子=すずき^はなこ",
        requesting="Suzuki^Hanako=鈴木^花子=すずき^はなこ",
        performing="Satou^Ken=佐藤^健=さとう^けん",
        station_name="US_OLD_1",
    ),
    ScheduledEntry(
        number=3,
        time="0815",
        modality="ES",
        character_set=ARABIC,
        name="قباني^لنزار",
        patient_id="HS-101455",
        birth_date="19660321",
        sex="M",
        weight_kg="79",
        allergies="اللاتكس",
        procedure="تنظير المعدة",
        procedure_code=Code("ES-EGD", "Gastroscopy"),
        step="تنظير علوي",
        protocol_code=Code("P-ES-EGD", "Diagnostic gastroscopy"),
        referring="حداد^ليلى",
        requesting="حداد^ليلى",
        performing="منصور^سامي",
        station_name="ENDO_TOWER_2",
        room="ES 2",
    ),
    ScheduledEntry(
        number=4,
        time="0845",
        modality="ES",
        character_set=CYRILLIC,
        name="Соколова^Анна^Петровна",
        patient_id="HS-101502",
        birth_date="19830709",
        sex="F",
        weight_kg="58.2",
        alerts="Антикоагулянты",
        procedure="Колоноскопия",
        procedure_code=Code("ES-COL", "Colonoscopy"),
        step="Колоноскопия, скрининг",
        protocol_code=Code("P-ES-COL", "Screening colonoscopy"),
        referring="Кузнецов^Игорь",
        requesting="Кузнецов^Игорь",
        performing="Лебедева^Мария",
        station_name="ENDO_TOWER_2",
        room="ES 2",
    ),
    ScheduledEntry(
        number=5,
        time="0900",
        modality="RG",
        character_set=GREEK,
        name="Παπαδόπουλος^Γεώργιος",
        patient_id="HS-101777",
        birth_date="19490525",
        sex="M",
        procedure="Ακτινογραφία θώρακος",
        procedure_code=Code("RG-THX", "Chest film"),
        step="Ψηφιοποίηση παλαιών φιλμ",
        protocol_code=Code("P-RG-FILM", "Digitize prior films"),
        referring="Νικολάου^Ελένη",
        requesting="Νικολάου^Ελένη",
        station_name="FILM_SCANNER",
        room="Archive",
    ),
    ScheduledEntry(
        number=6,
        time="0930",
        modality="US",
        character_set=KOREAN,
        name="Hong^Gildong=洪^吉洞=홍^길동",
        patient_id="HS-101963",
        birth_date="19900101",
        sex="M",
        weight_kg="71",
        procedure="갑상선 초음파",
        procedure_code=Code("US-THY", "Ultrasound of thyroid"),
        step="갑상선",
        protocol_code=Code("P-US-THY", "Thyroid"),
        referring="Kim^Minsu=金^民秀=김^민수",
        station_name="US_OLD_1",
    ),
    ScheduledEntry(
        number=7,
        time="1000",
        modality="ES",
        character_set=UTF8,
        name="Wang^XiaoDong=王^小東",
        patient_id="HS-102040",
        birth_date="19790915",
        sex="F",
        weight_kg="61",
        procedure="支氣管鏡檢查 Bronchoscopy",
        procedure_code=Code("ES-BRO", "Bronchoscopy"),
        step="Bronchoscopy with lavage",
        protocol_code=Code("P-ES-BRO", "Bronchoscopy with lavage"),
        referring="Lefèvre^Σοφία^Юлия",
        requesting="Lefèvre^Σοφία^Юлия",
        performing="Nguyễn^Văn An",
        station_name="ENDO_TOWER_2",
        room="ES 1",
        priority="HIGH",
    ),
    ScheduledEntry(
        number=8,
        time="1015",
        modality="OP",
        character_set=CHINESE,
        name="Zhang^XiaoDong=张^小东",
        patient_id="HS-102118",
        birth_date="20010218",
        sex="F",
        procedure="眼底照相",
        procedure_code=Code("OP-FUN", "Fundus photography"),
        step="双眼眼底",
        protocol_code=Code("P-OP-FUN", "Fundus, both eyes"),
        station_ae="EYE_CLINIC",
        station_name="FUNDUS_1",
    ),
    ScheduledEntry(
        number=9,
        time="1030",
        modality="US",
        character_set=(),
        name="Okafor^Adaeze",
        patient_id="HS-102290",
        birth_date="19940812",
        sex="F",
        weight_kg="72.4",
        pregnancy=3,
        procedure="Obstetric ultrasound",
        procedure_code=Code("US-OBS", "Obstetric ultrasound"),
        step="Second trimester anatomy",
        protocol_code=Code("P-US-OBS-2", "Second trimester anatomy"),
        referring="Adeyemi^Folake",
        requesting="Adeyemi^Folake",
        performing="Bello^Ruth",
        station_name="US_OLD_1",
        room="Raum 12",
    ),
    ScheduledEntry(
        number=10,
        time="1100",
        modality="US",
        character_set=LATIN1,
        name="Lefèvre^Hélène^^Mme",
        patient_id="HS-102301",
        birth_date="19371204",
        sex="F",
        procedure="Échographie cardiaque",
        procedure_code=Code("US-ECHO", "Echocardiography"),
        step="Échographie transthoracique",
        station_name="US_OLD_1",
    ),
    ScheduledEntry(
        number=11,
        time="1130",
        modality="ES",
        character_set=LATIN2,
        name="Wiśniewska^Małgorzata",
        patient_id="HS-102417",
        birth_date="19620630",
        sex="F",
        weight_kg="65",
        allergies="Jod, orzechy",
        procedure="Gastroskopia",
        procedure_code=Code("ES-EGD", "Gastroscopy"),
        step="Gastroskopia z biopsją",
        protocol_code=Code("P-ES-EGD-B", "Gastroscopy with biopsy"),
        referring="Dąbrowski^Łukasz",
        performing="Żak^Grażyna",
        station_name="ENDO_TOWER_2",
    ),
    # An emergency: the desk knew no more than this.
    ScheduledEntry(
        number=12,
        time="1145",
        modality="ES",
        character_set=(),
        name="Unknown^Male",
        patient_id="EMERGENCY-0731",
        sex="M",
        step="Emergency endoscopy",
        priority="STAT",
    ),
    ScheduledEntry(
        number=13,
        time="1300",
        modality="RG",
        character_set=LATIN1,
        name="Núñez García^María José",
        patient_id="HS-102555",
        birth_date="19551019",
        sex="F",
        weight_kg="70",
        procedure="Radiografía de tórax",
        procedure_code=Code("RG-THX", "Chest film"),
        step="Película de tórax, archivo",
        protocol_code=Code("P-RG-FILM", "Digitize prior films"),
        referring="Peña^Íñigo",
        station_name="FILM_SCANNER",
        room="Archive",
    ),
    ScheduledEntry(
        number=14,
        time="1330",
        modality="RG",
        character_set=HEBREW,
        name="שרון^דבורה",
        patient_id="HS-102608",
        birth_date="19440407",
        sex="F",
        procedure="צילום חזה",
        step="סריקת סרטים",
        station_name="FILM_SCANNER",
    ),
    ScheduledEntry(
        number=15,
        time="1400",
        modality="XA",
        character_set=TURKISH,
        name="Yılmaz^Şule",
        patient_id="HS-102733",
        birth_date="19680228",
        sex="F",
        weight_kg="68",
        allergies="Kontrast madde",
        procedure="Koroner anjiyografi",
        procedure_code=Code("XA-COR", "Coronary angiography"),
        step="Koroner anjiyografi, sağ radial",
        referring="Çelik^Ömer",
        station_ae="CATHLAB1",
        station_name="CATHLAB_1",
        admission="ADM-4802",
        ward="Kardiyoloji",
    ),
    ScheduledEntry(
        number=16,
        time="1500",
        modality="RF",
        character_set=UTF8,
        name="Nguyễn^Thị Hương",
        patient_id="HS-102819",
        birth_date="19860511",
        sex="F",
        procedure="Barium swallow",
        procedure_code=Code("RF-SWA", "Barium swallow"),
        step="Oesophagus",
        station_ae="FLUORO1",
        station_name="FLUORO_1",
    ),
    ScheduledEntry(
        number=17,
        step_of=9,
        time="1045",
        modality="US",
        character_set=(),
        name="Okafor^Adaeze",
        patient_id="HS-102290",
        birth_date="19940812",
        sex="F",
        weight_kg="72.4",
        pregnancy=3,
        procedure="Obstetric ultrasound",
        procedure_code=Code("US-OBS", "Obstetric ultrasound"),
        step="Umbilical artery Doppler",
        protocol_code=Code("P-US-OBS-D", "Umbilical artery Doppler"),
        referring="Adeyemi^Folake",
        requesting="Adeyemi^Folake",
        performing="Bello^Ruth",
        station_name="US_OLD_1",
        room="Raum 12",
    ),
)
