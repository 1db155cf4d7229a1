package microsoft

// zones are Microsoft's names of time zones (page TimeZone) by the IANA name of a
// place in each.
var zones = map[string]string{
	"AbuDhabiMuscat": "Asia/Dubai", "Adelaide": "Australia/Adelaide", "Alaska": "America/Anchorage",
	"AlmatyNovosibirsk": "Asia/Novosibirsk", "AmsterdamBerlinBernRomeStockholmVienna": "Europe/Berlin",
	"Arizona": "America/Phoenix", "AstanaDhaka": "Asia/Dhaka", "AthensBuckarestIstanbul": "Europe/Athens",
	"AtlanticTimeCanada": "America/Halifax", "AucklandWellington": "Pacific/Auckland", "Azores": "Atlantic/Azores",
	"Baghdad": "Asia/Baghdad", "BakuTbilisiYerevan": "Asia/Baku", "BangkokHanoiJakarta": "Asia/Bangkok",
	"BeijingChongqingHongKongUrumqi": "Asia/Shanghai", "BelgradeBratislavaBudapestLjubljanaPrague": "Europe/Prague",
	"BogotaLimaQuito": "America/Bogota", "Brasilia": "America/Sao_Paulo", "Brisbane": "Australia/Brisbane",
	"BrusselsCopenhagenMadridParis": "Europe/Paris", "Bucharest": "Europe/Bucharest",
	"BuenosAiresGeorgetown": "America/Argentina/Buenos_Aires", "Cairo": "Africa/Cairo",
	"CanberraMelbourneSydney": "Australia/Sydney", "CapeVerdeIsland": "Atlantic/Cape_Verde", "CaracasLaPaz": "America/Caracas",
	"CasablancaMonrovia": "Africa/Casablanca", "CentralAmerica": "America/Guatemala", "CentralTimeUSCanada": "America/Chicago",
	"ChennaiKolkataMumbaiNewDelhi": "Asia/Kolkata", "ChihuahuaLaPazMazatlan": "America/Chihuahua", "Darwin": "Australia/Darwin",
	"EasternTimeUSCanada": "America/New_York", "Ekaterinburg": "Asia/Yekaterinburg", "FijiKamchatkaMarshallIsland": "Pacific/Fiji",
	"Greenland": "America/Nuuk", "GreenwichMeanTimeDublinEdinburghLisbonLondon": "Europe/London",
	"GuadalajaraMexicoCityMonterrey": "America/Mexico_City", "GuamPortMoresby": "Pacific/Guam", "HararePretoria": "Africa/Johannesburg",
	"Hawaii": "Pacific/Honolulu", "HelsinkiKyivRigaSofiaTallinnVilnius": "Europe/Helsinki", "Hobart": "Australia/Hobart",
	"IndianaEast": "America/Indiana/Indianapolis", "IrkutskUlaanBataar": "Asia/Irkutsk", "IslandamabadKarachiTashkent": "Asia/Karachi",
	"Jerusalem": "Asia/Jerusalem", "Kabul": "Asia/Kabul", "Kathmandu": "Asia/Kathmandu", "Krasnoyarsk": "Asia/Krasnoyarsk",
	"KualaLumpurSingapore": "Asia/Singapore", "KuwaitRiyadh": "Asia/Riyadh", "MagadanSolomonIslandNewCaledonia": "Asia/Magadan",
	"MidwayIslandAndSamoa": "Pacific/Pago_Pago", "MoscowStPetersburgVolgograd": "Europe/Moscow", "MountainTimeUSCanada": "America/Denver",
	"Nairobi": "Africa/Nairobi", "Newfoundland": "America/St_Johns", "Nukualofa": "Pacific/Tongatapu", "OsakaSapporoTokyo": "Asia/Tokyo",
	"PacificTimeUSCanadaTijuana": "America/Los_Angeles", "Perth": "Australia/Perth", "Rangoon": "Asia/Yangon", "Santiago": "America/Santiago",
	"SarajevoSkopjeWarsawZagreb": "Europe/Warsaw", "Saskatchewan": "America/Regina", "Seoul": "Asia/Seoul",
	"SriJayawardenepura": "Asia/Colombo", "Taipei": "Asia/Taipei", "Tehran": "Asia/Tehran", "Vladivostok": "Asia/Vladivostok",
	"WestCentralAfrica": "Africa/Lagos", "Yakutsk": "Asia/Yakutsk",
}
